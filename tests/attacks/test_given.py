"""Oracle: the same attack by its name in the catalogue; for a function, FGSM written out, and the rule of the ball."""

from __future__ import annotations

import functools
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_plugins import install_plugins
from torch import Tensor, nn

import pcbench
from pcbench.attacks.api import find_attack, own_attack
from pcbench.attacks.definitions import load_attack_suite
from pcbench.attacks.libraries.foolbox import PyTorchModel, attacks
from pcbench.distributions import version_of
from pcbench.errors import DefinitionError, RunError, UsageError

from .conftest import Case

BUDGETS = ["16/255", "48/255"]
CODE = """
import torch

def step(model, images, labels, epsilon, share=1.0):
    images.requires_grad_()
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    (gradient,) = torch.autograd.grad(loss, images)
    return images + share * epsilon * gradient.sign()
"""


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(images), labels), images)
    return images + epsilon * gradient.sign()


def of(case: Case, chosen: Any, **options: Any) -> Any:
    return pcbench.attack(case.classifier, case.images, case.labels, chosen, **{"epsilons": BUDGETS, **options})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (attacks.LinfPGD, "linf/pgd"),
        (lambda: attacks.L2PGD(rel_stepsize=0.05, steps=40), "l2/pgd"),
        (attacks.FGSM, "linf/fgsm"),
    ],
)
def test_an_object_of_foolbox_is_the_definition_of_its_settings(digits: Case, given: Any, name: str) -> None:
    attack = given()
    found = own_attack(attack)
    same = find_attack(name)
    assert (found.library, found.attack, found.norm) == (same.library, same.attack, same.norm)
    assert found.random_start == same.random_start
    assert (found.steps, found.relative_step_size) == (attack.steps, attack.rel_stepsize)
    named = same.model_copy(update={"name": found.name, "relative_step_size": attack.rel_stepsize})
    np.testing.assert_array_equal(of(digits, attack).prediction, of(digits, named).prediction)


def test_an_object_is_run_as_foolbox_runs_it(digits: Case) -> None:
    attack = attacks.LinfPGD(abs_stepsize=0.02, steps=7, random_start=False)
    model = PyTorchModel(digits.classifier, bounds=(0, 1))
    ours = of(digits, attack, epsilons=[0.1], plain=True)
    # Clean errors stay errors; foolbox attacks them as well.
    _, theirs, _ = attack(model, digits.images, digits.labels, epsilons=0.1)
    expected = digits.classifier(theirs).argmax(dim=1).numpy()
    np.testing.assert_array_equal(ours.prediction[1][ours.eligible], expected[ours.eligible])
    assert attack.steps == 7


def test_a_minimal_norm_object_has_distances(digits: Case) -> None:
    found, named = (of(digits, one, epsilons=[0.5]) for one in (attacks.LinfDeepFoolAttack(), "minimal-norm/deepfool"))
    assert found.norm == "linf"
    np.testing.assert_array_equal(found.distance, named.distance)


def test_a_function_is_attacked_with_as_the_same_steps_in_the_catalogue(digits: Case) -> None:
    ours, named = of(digits, fgsm), of(digits, "fgsm")
    assert ours.attack == "fgsm"
    np.testing.assert_array_equal(ours.success_within, named.success_within)
    together = of(digits, own_attack(fgsm, parameters={"together": True}))
    np.testing.assert_array_equal(together.success_within, ours.success_within)
    assert (ours.columns["queries"][1:][ours.attacked[1:]] == 1).all()


def test_what_a_function_does_to_the_network_no_other_attack_meets(digits: Case) -> None:
    def spoils(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        answer = fgsm(model, images, labels, epsilon)
        model.train()
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data.zero_()
        return answer

    before = of(digits, fgsm)
    np.testing.assert_array_equal(of(digits, spoils).success_within, before.success_within)
    np.testing.assert_array_equal(of(digits, fgsm).success_within, before.success_within)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("PGD", "pgd"),
        ("square", "blackbox/square"),
        ("LinfPGD", "pgd"),
        ("L2PGD", "l2/pgd"),
        ("deepfool", "minimal-norm/deepfool"),
    ],
)
def test_the_name_of_an_attack_elsewhere_says_what_to_write(name: str, written: str) -> None:
    with pytest.raises(UsageError, match=f"attack '{name}' does not exist in linf; write {written}$"):
        find_attack(name)


def test_a_budget_that_is_left_is_told_and_the_images_are_clipped(
    digits: Case, caplog: pytest.LogCaptureFixture
) -> None:
    def far(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        return fgsm(model, images, labels, 3 * epsilon)

    with caplog.at_level(logging.WARNING, logger="pcbench"):
        clipped = of(digits, far)
    told = [one.getMessage() for one in caplog.records if "far" in one.getMessage()]
    assert len(told) == 1
    assert "leaves its budget (L∞" in told[0]
    for budget, measured in zip(clipped.epsilons, clipped.columns["perturbation_linf"], strict=True):
        assert measured.max() <= budget + 1e-6
    np.testing.assert_array_equal(clipped.success_within, of(digits, fgsm).success_within)


def test_an_array_may_be_returned_and_nan_is_no_success(digits: Case, caplog: pytest.LogCaptureFixture) -> None:
    def array(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Any:
        return fgsm(model, images, labels, epsilon).detach().double().numpy()

    np.testing.assert_array_equal(of(digits, array).success_within, of(digits, fgsm).success_within)
    lost = of(digits, lambda *given: given[1] * float("nan"))
    assert not lost.success_within.any()
    assert "returns NaN at ε = " in caplog.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda *given: given[1][:, :, 1:], "returns images of shape"),
        (lambda *_: None, "returns NoneType"),
        (lambda *given: (given[1] * 255).byte(), "returns torch.uint8"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_a_function_returns_wrong_is_named(digits: Case, wrong: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        of(digits, own_attack(wrong, name="mine"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "an attack is a name"),
        (attacks.LinfPGD, "is a class; give an instance"),
        (lambda images: images, "does not take these four"),
        (attacks.L1PGD(), "measures L1 distance"),
        (attacks.GaussianBlurAttack(), "states no norm"),
        ("no_module_here:attack", "there is no module 'no_module_here'"),
        ("os:getcwd", "does not take these four"),
    ],
)
def test_what_is_no_attack_is_refused_in_one_line(digits: Case, wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        of(digits, wrong)
    assert "\n" not in str(caught.value)


def test_norms_and_budgets_are_taken_as_libraries_write_them() -> None:
    assert own_attack(fgsm, norm="L2").norm == own_attack(fgsm, norm=2).norm == "l2"
    assert own_attack(fgsm, norm="Linf", epsilons="8/255").epsilons == (8 / 255,)
    assert own_attack(fgsm, norm=np.inf, epsilons=["8/255", 0.01]).epsilons == (0.01, 8 / 255)
    with pytest.raises(UsageError, match=r"at most 1, not 8; did you mean 8/255\?$"):
        own_attack(fgsm, epsilons=8)
    with pytest.raises(UsageError, match="norm 'l1' does not exist"):
        own_attack(fgsm, norm="l1")
    with pytest.raises(UsageError, match="restarts=3"):
        own_attack(attacks.L2AdditiveUniformNoiseAttack().repeat(3))


def test_a_random_function_does_not_depend_on_the_batch(digits: Case) -> None:
    def noisy(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        del model, labels
        return images + epsilon * (2 * torch.rand_like(images) - 1).sign()

    whole, small = (of(digits, noisy, keep_images=True, batch_size=size) for size in (128, 3))
    assert torch.equal(whole.images, small.images)


def written(folder: Path, code: str = CODE, **keys: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.toml").write_text('version = 1\ntitle = "Mine"\nsource = "own"\n')
    (folder / "own_steps.py").write_text(code)
    table = {"title": '"One step"', "function": '"own_steps:step"', "norm": '"linf"', "source": '"own"', **keys}
    table.setdefault("epsilons", '["16/255", "48/255"]')
    (folder / "one_step.toml").write_text("".join(f"{key} = {value}\n" for key, value in table.items()))
    return folder


@pytest.fixture
def own_steps(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    forget = functools.partial(sys.modules.pop, "own_steps", None)
    yield forget
    forget()


@pytest.mark.usefixtures("own_steps")
def test_a_suite_brings_its_own_code(digits: Case, tmp_path: Path) -> None:
    folder = written(tmp_path / "attacks" / "mine")
    named = of(digits, f"{folder}/one_step")
    file = of(digits, folder / "one_step.toml")
    np.testing.assert_array_equal(named.success_within, of(digits, "fgsm").success_within)
    np.testing.assert_array_equal(file.success_within, named.success_within)


def test_the_code_is_in_a_suites_identity(tmp_path: Path, own_steps: Any) -> None:
    def identity(code: str = CODE, **keys: str) -> str:
        own_steps()
        return load_attack_suite(written(tmp_path / "attacks" / "mine", code, **keys)).identity()

    first = identity()
    assert identity("# a remark\n" + CODE) == first
    assert identity(CODE.replace("share=1.0", "share=0.5")) != first
    assert identity(parameters="{share = 0.5}") != first
    assert identity() == first


def test_an_objects_attributes_are_in_its_identity() -> None:
    first = own_attack(attacks.L2CarliniWagnerAttack(steps=5)).identified()
    assert own_attack(attacks.L2CarliniWagnerAttack(steps=5)).identified() == first
    assert own_attack(attacks.L2CarliniWagnerAttack(steps=6)).identified() != first
    assert first["own"]["packages"]["foolbox"] == version_of("foolbox")


def test_a_file_that_names_both_a_function_and_a_library_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "attacks" / "mine", library='"foolbox"')
    with pytest.raises(DefinitionError, match="stands in place of"):
        load_attack_suite(folder)


def test_a_module_that_has_another_ones_name_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "attacks" / "mine", function='"json:loads"')
    (folder / "json.py").write_text("def loads(*arguments): return arguments[1]\n")
    with pytest.raises(UsageError, match="another module has the name of"):
        load_attack_suite(folder).identity()


def test_another_package_registers_an_attack(
    digits: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_steps: Any
) -> None:
    entries = {"attacks": {"stepped": "own_steps:step", "pgd": "own_steps:step", "lost": "own_steps:nothing"}}
    install_plugins(tmp_path, monkeypatch, entries, sources={"own_steps": CODE})
    found = of(digits, "stepped")
    assert found.attack == "stepped"
    np.testing.assert_array_equal(found.success_within, of(digits, "fgsm").success_within)
    assert find_attack("pgd").library == "foolbox"
    with pytest.raises(UsageError, match="plug-in of mypackage"):
        of(digits, "lost")
    own_steps()
