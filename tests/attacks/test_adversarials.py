"""Oracles: the sweep that was saved, and a second model that classifies the same images again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pcbench.attacks.classify import single
from pcbench.attacks.kept_images import join_sweeps
from pcbench.attacks.sweep import Sweep, sweep
from pcbench.errors import DataError, UsageError
from pcbench.harness.crossed import score_adversarials
from pcbench.results.adversarials import load_adversarials, to_bytes
from pcbench.results.conditions import Condition

from .conftest import Case, attack

CONDITION = Condition("digits-linf", "attack", "pgd", norm="linf", gradient="exact", attacked_timestep=0)


def save_adversarials(path: Path, sweeps: list[Sweep]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(to_bytes(join_sweeps(sweeps, CONDITION, model="net", seed=0, data="digits")))


def made(case: Case, **changes: object) -> Sweep:
    definition = attack("pgd", **changes)
    return sweep(case.classifier, case.images, case.labels, definition, ids=case.ids, seed=0, keep_images=True)


def halves(case: Case) -> list[Sweep]:
    definition = attack("pgd")
    parts = [slice(0, 50), slice(50, None)]
    return [
        sweep(
            case.classifier,
            case.images[part],
            case.labels[part],
            definition,
            ids=case.ids[part],
            seed=0,
            keep_images=True,
        )
        for part in parts
    ]


def test_images_come_back_bit_for_bit(digits: Case, tmp_path: Path) -> None:
    save_adversarials(tmp_path / "a" / "pgd-t0.safetensors", halves(digits))
    again = load_adversarials(tmp_path / "a" / "pgd-t0.safetensors")
    whole = torch.cat([batch.images for batch in halves(digits) if batch.images is not None], dim=1)
    assert (again.condition, again.model, again.seed, again.data) == (CONDITION, "net", 0, "digits")
    assert again.ids == digits.ids
    assert torch.equal(again.labels, digits.labels)
    for budget in range(len(again.epsilons)):
        assert torch.equal(again.images(budget), whole[budget])
    assert len(again.pool) < whole.shape[0] * whole.shape[1]
    assert (tmp_path / "a" / "pgd-t0.safetensors").read_bytes() == to_bytes(again)


@pytest.mark.parametrize("changes", [{}, {"targeted": True, "target_offset": 3}])
def test_the_model_they_were_made_against_scores_them_as_before(
    digits: Case, tmp_path: Path, changes: dict[str, object]
) -> None:
    outcome = made(digits, **changes)
    save_adversarials(tmp_path / "x.safetensors", [outcome])
    (again,) = score_adversarials(single(digits.classifier), load_adversarials(tmp_path / "x.safetensors"), 96)
    np.testing.assert_array_equal(again.eligible, outcome.eligible)
    for column in ("success_within", "prediction", "perturbation_linf", "perturbation_l2"):
        np.testing.assert_array_equal(again.columns[column], outcome.columns[column])
    # In batches of other sizes, whose last bits differ on some kinds of CPU.
    np.testing.assert_allclose(again.columns["margin"], outcome.columns["margin"], rtol=1e-5, atol=1e-5)


def test_another_model_scores_them_by_its_own_clean_answers(digits: Case, tmp_path: Path) -> None:
    other = torch.nn.Sequential(torch.nn.AvgPool2d(3, stride=1, padding=1), digits.classifier)
    outcome = made(digits)
    save_adversarials(tmp_path / "x.safetensors", [outcome])
    (again,) = score_adversarials(single(other), load_adversarials(tmp_path / "x.safetensors"), 96)
    right = (other(digits.images).argmax(dim=1) == digits.labels).numpy()
    np.testing.assert_array_equal(again.eligible, right)
    assert outcome.images is not None
    at_last = (other(outcome.images[-1]).argmax(dim=1) != digits.labels).numpy()
    np.testing.assert_array_equal(again.success[-1][right], at_last[right])
    assert (np.diff(again.success_within.astype(int), axis=0) >= 0).all()


def test_what_is_no_such_file_is_refused(digits: Case, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(DataError, match="not a readable file"):
        load_adversarials(path)
    path.write_bytes(b"\x80\x04nonsense")
    with pytest.raises(DataError, match="not a readable file"):
        load_adversarials(path)
    from safetensors.torch import save_file

    save_file({"pool": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="not a file of adversarial images"):
        load_adversarials(path)
    with pytest.raises(DataError, match="keep_images=True"):
        save_adversarials(path, [replace(made(digits), images=None)])
    save_adversarials(path, [made(digits)])
    damaged = bytearray(path.read_bytes())
    path.write_bytes(damaged[: len(damaged) // 2])
    with pytest.raises(DataError, match="not a readable file"):
        load_adversarials(path)


@pytest.mark.parametrize("what", ["kind", "norm", "epsilons", "pool"])
def test_images_that_no_attack_made_are_refused(digits: Case, tmp_path: Path, what: str) -> None:
    save_adversarials(tmp_path / "kept.safetensors", halves(digits))
    kept = load_adversarials(tmp_path / "kept.safetensors")
    wrong = {
        "kind": {"condition": replace(kept.condition, kind="clean")},
        "norm": {"condition": replace(kept.condition, norm=None)},
        "epsilons": {"epsilons": kept.epsilons[::-1]},
        "pool": {"pool": torch.full_like(kept.pool, float("nan"))},
    }
    path = tmp_path / "wrong.safetensors"
    path.write_bytes(to_bytes(replace(kept, **wrong[what])))
    with pytest.raises(DataError, match="damaged"):
        load_adversarials(path)


def test_a_model_with_fewer_classes_is_refused(digits: Case, tmp_path: Path) -> None:
    save_adversarials(tmp_path / "x.safetensors", [made(digits)])
    loaded = load_adversarials(tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match="does not exist"):
        score_adversarials(lambda images: digits.classifier(images)[None, :, :4], loaded, 96)
