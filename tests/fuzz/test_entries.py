"""No entry point raises anything but pcbench's own errors, each in one line, whatever it is given.

Oracle: the exception tree in `pcbench/errors.py`. The inputs are drawn with fixed seeds, so that a failure is found
again by the same command: `PCBENCH_FUZZ_TRIES=5000 uv run pytest -n 0 tests/fuzz`. Without the variable, 300 are tried.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from fuzz import inputs, networks
from hypothesis import strategies as st

import pcbench
from pcbench import models
from pcbench.catalog import SuiteKind, catalog_folder
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import PcbenchError

np.set_printoptions(threshold=20)  # what failed is printed
TRIES = int(os.environ.get("PCBENCH_FUZZ_TRIES", "300"))
pytestmark = pytest.mark.filterwarnings("ignore")  # of NumPy and PyTorch, about the inputs

MISSPELT = ("epsilon", "step", "restarts", "severty", "sed", "batchsize", "image", "label", "model_", "")


def fuzzed(share: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Try a test on this share of all tries, the same ones each time."""
    return hypothesis.settings(
        max_examples=max(1, int(TRIES * share)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )


def result_or_refusal(ask: Callable[[], object]) -> None:
    refused = None
    try:
        ask()
    except PcbenchError as error:
        refused = str(error)
    if refused is not None:
        assert refused.strip()
        assert "\n" not in refused, refused
        assert len(refused) < 1500, refused


def words(draw: st.DrawFn, options: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    """Draw some of the options, and sometimes one that does not exist."""
    chosen = draw(st.lists(st.sampled_from(sorted(options)), unique=True, max_size=2)) if draw(st.booleans()) else []
    found = {name: draw(options[name]) for name in chosen}
    if draw(st.integers(1, 30)) == 13:
        found[draw(st.sampled_from(MISSPELT))] = draw(inputs.junk())
    return found


@fuzzed(0.3)
@hypothesis.given(data=st.data())
def test_data(data: st.DataObject) -> None:
    value = data.draw(inputs.data_sets())

    def ask() -> None:
        source = open_source(value, preprocessing=Preprocessing(crop=8))
        source.digests()
        source.load(range(len(source)))

    result_or_refusal(ask)


CORRUPT = {
    "severity": inputs.whole_numbers(),
    "seed": inputs.whole_numbers(),
    "ids": st.one_of(st.none(), inputs.labels(2), inputs.junk()),
    "backend": st.one_of(st.sampled_from(["fast", "quick"]), inputs.junk()),
    "jpeg_quality": inputs.whole_numbers(),
}
CORRUPTIONS = ("gaussian_noise", "contrast", "pixelate", "fog", "brightness", "jpeg_compression", "gausian_noise")


@fuzzed(0.2)
@hypothesis.given(data=st.data())
def test_corrupt(data: st.DataObject) -> None:
    name = data.draw(st.one_of(st.sampled_from(CORRUPTIONS), st.sampled_from(CORRUPTIONS), inputs.junk()))
    images = data.draw(inputs.images(2))
    options = {"severity": 2, **words(data.draw, CORRUPT)}
    if data.draw(st.integers(1, 30)) == 13:
        del options["severity"]
    result_or_refusal(lambda: pcbench.corrupt(images, name, **options))  # pyright: ignore[reportArgumentType]


ATTACK = {
    "timestep": inputs.whole_numbers(),
    "seed": inputs.whole_numbers(),
    "epsilons": inputs.budgets(),
    "gradient": st.one_of(st.sampled_from(["exact", "stop_error", "stop-error"]), inputs.junk()),
    **dict.fromkeys(("plain", "bracketing", "keep_images"), st.one_of(st.booleans(), inputs.junk())),
    "batch_size": inputs.whole_numbers(),
}
ATTACKS = ("fgsm", "linf/fgsm", "l2/fgm", "fgms", "contrast", "nowhere/fgsm")


@fuzzed(0.2)
@hypothesis.given(data=st.data())
def test_attack(data: st.DataObject) -> None:
    model = data.draw(inputs.models())
    right = st.just(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    images = data.draw(st.one_of(right, right, inputs.images(2)))
    labels = data.draw(st.one_of(st.just([0, 1]), inputs.labels(2)))
    name = data.draw(st.one_of(st.just("fgsm"), st.sampled_from(ATTACKS), inputs.junk()))
    options = {"epsilons": ["8/255"], **words(data.draw, ATTACK)}
    result_or_refusal(lambda: pcbench.attack(model, images, labels, name, **options))


LOAD = {
    "timesteps": inputs.whole_numbers(),
    "random_predictors": inputs.whole_numbers(),
    **dict.fromkeys(("weights", "backbone_weights", "ablation", "device", "model_version"), inputs.junk()),
}


@fuzzed(0.05)
@hypothesis.given(data=st.data())
def test_load(data: st.DataObject) -> None:
    model = data.draw(inputs.models())
    drawn = inputs.arrays(2).map(lambda array: inputs.as_tensor(array, "plain"))
    images = data.draw(st.one_of(st.just(torch.full((2, 3, 8, 8), 0.5)), drawn))
    options = words(data.draw, LOAD)
    result_or_refusal(lambda: models.load(model, **options).logits(images))


NORMALISATION = st.one_of(
    st.sampled_from([[0.5, 0.5, 0.5], (0.5,), 0.5, "0.5", [0, 0, 0], np.ones(3), torch.ones(3), [1, 1, "1/2"]]),
    inputs.junk(),
)


@fuzzed(0.15)
@hypothesis.given(data=st.data())
def test_predify(data: st.DataObject) -> None:
    backbone, table = data.draw(networks.backbones()), data.draw(networks.configurations())
    options = words(data.draw, {"mean": NORMALISATION, "std": NORMALISATION})
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = images.permute(0, 1, 3, 2) if data.draw(st.booleans()) else images

    def ask() -> None:
        network = pcbench.predify(backbone, table, **options)
        models.load(network, timesteps=1).logits(images)

    result_or_refusal(ask)


RUN = {
    **dict.fromkeys(
        ("images", "timesteps", "batch_size", "block_size", "seed", "jpeg_quality"), inputs.whole_numbers()
    ),
    "epsilons": inputs.budgets(),
    "device": st.one_of(st.sampled_from(["cpu", "mps", "cuda:9", "gpu"]), inputs.junk()),
    "precision": st.one_of(st.sampled_from(["bfloat16", "float16", "tf32"]), inputs.junk()),
    "backend": st.one_of(st.just("fast"), inputs.junk()),
    **dict.fromkeys(("leave_out", "corrupted", "weights", "adversarials", "ablation", "plain_sweep"), inputs.junk()),
}


@pytest.fixture(scope="module")
def suites() -> Any:
    """Suites of one corruption and of one attack."""
    folder = Path(tempfile.mkdtemp())
    shipped: tuple[tuple[SuiteKind, str, str], ...] = (
        ("corruptions", "digits-c", "contrast"),
        ("attacks", "linf", "fgsm"),
    )
    for kind, suite, name in shipped:
        made = folder / kind / "one"
        made.mkdir(parents=True)
        version = "1" if kind == "corruptions" else '"1"'
        (made / "suite.toml").write_text(f'version = {version}\ntitle = "One"\nsource = "this test"\n')
        shutil.copy(catalog_folder(kind) / suite / f"{name}.toml", made)
    yield [str(folder / "corruptions" / "one")], [str(folder / "attacks" / "one")]
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, and leave out figures and pages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))


@fuzzed(0.1)
@hypothesis.given(data=st.data())
def test_run(data: st.DataObject, suites: Any, tmp_path: Path) -> None:
    model, value = data.draw(inputs.models()), data.draw(inputs.right_or_any_data_sets())
    chosen = suites[data.draw(st.integers(0, 1))] if data.draw(st.integers(1, 9)) != 7 else data.draw(inputs.junk())
    options = {"threads": 1, "progress": False, **words(data.draw, RUN)}
    out = tmp_path / "run"
    result_or_refusal(lambda: pcbench.run(model=model, suites=chosen, data=value, out=out, **options))
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(f"{out}.partial", ignore_errors=True)
