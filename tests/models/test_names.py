"""Every way to name a model, as a new user writes it: plug-ins, a configuration that names its backbone, the list.

Oracle: the same network by another of its names; the page of the docs; the modules that are imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from made_plugins import install_plugins

import pcbench
from pcbench import models
from pcbench.cli.main import main
from pcbench.cli.models_page import forms_page
from pcbench.errors import ConfigurationError, UnknownNameError, UsageError
from pcbench.models.naming import MODEL_FORMS
from pcbench.models.zoo import CONTROL, PAPER, weights_needed, zoo_entry, zoo_names

CONFIGURATION = Path(pcbench.__file__).parent / "models" / "configurations" / "pdigits.toml"
BACKBONE = "pcbench.models.architectures:digits_network"
_SOURCE = """
import torch
from torch import nn
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(3072, 7)
        self.mean, self.std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    def forward(self, images):
        return self.layer(images.flatten(1))
def make():
    return Network()
def fails():
    raise RuntimeError("no licence")
made = Network()
text = "a text"
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "1.5") -> None:
    entries = {"models": {f"my-{name}": f"plugged_network:{name}" for name in ("make", "fails", "made", "text")}}
    monkeypatch.delitem(sys.modules, "plugged_network", raising=False)
    install_plugins(folder, monkeypatch, entries, sources={"plugged_network": _SOURCE}, version=version)


def test_a_model_of_another_package_is_named_like_one_of_the_zoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    by_name, by_function = models.load("my-make"), models.load("plugged_network:make")
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(by_name.logits(images), by_function.logits(images))
    assert torch.equal(models.load("my-made").logits(images), by_function.logits(images))
    assert (by_name.name, by_name.classes) == ("my-make", 7)
    # All that can change an answer is the same; only the name differs.
    assert {**by_name.description, "model": None} == {**by_function.description, "model": None}


def test_the_version_of_a_plugins_package_is_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.5", "1.6"):
        with monkeypatch.context() as own:
            install(tmp_path / version, own, version)
            assert f"mypackage {version}" in str(models.load("my-make").description["code_packages"])


@pytest.mark.parametrize(
    ("name", "says"), [("my-fails", "RuntimeError: no licence"), ("my-text", "neither a function that returns")]
)
def test_a_plugin_that_is_no_model_is_told_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    install(tmp_path, monkeypatch)
    with pytest.raises(UsageError, match=r"is a plug-in of mypackage 1\.5") as caught:
        models.load(name)
    assert says in str(caught.value)
    with pytest.raises(UnknownNameError, match="did you mean 'my-make'"):
        models.load("my-mak")


def test_a_configuration_that_states_its_backbone_is_a_model(tmp_path: Path) -> None:
    alone = tmp_path / "mine.toml"
    alone.write_text(f'backbone = "{BACKBONE}"\n{CONFIGURATION.read_text()}')
    full = models.load(f"{CONFIGURATION}@{BACKBONE}", random_predictors=0)
    model = models.load(str(alone), random_predictors=0)
    assert model.name == f"mine.toml@{BACKBONE}"
    # The backbone is no part of the configuration's identity: it has its own.
    for key in ("configuration_sha256", "backbone_sha256", "random_predictors"):
        assert model.description[key] == full.description[key]
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.logits(images, 2), full.logits(images, 2))
    with pytest.raises(ConfigurationError, match="is a configuration without a backbone; write"):
        models.load(str(CONFIGURATION))


@pytest.mark.parametrize(
    "words",
    [
        [str(CONFIGURATION), "--backbone", BACKBONE],
        ["--model", f"{CONFIGURATION}@{BACKBONE}"],
        ["--model", BACKBONE, "--configuration", str(CONFIGURATION)],
        ["--model", "pdigits"],
        ["MINE"],
    ],
)
def test_predify_takes_every_name_of_a_model(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(f'backbone = "{BACKBONE}"\n{CONFIGURATION.read_text()}')
    with pytest.raises(SystemExit) as ended:
        main(["predify", *(str(mine) if word == "MINE" else word for word in words)])
    assert ended.value.code == 0
    assert "D_3" in capsys.readouterr().out


def test_the_docs_list_every_way_to_name_a_model() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    assert forms_page() in page, "python -m pcbench.cli.models_page docs/reference/models.md"


def test_the_list_says_which_weights_come_and_how_others_are_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    with pytest.raises(SystemExit):
        main(["list", "models"])
    said = capsys.readouterr().out
    for form in MODEL_FORMS:
        assert form.form in said
    for option in (
        "--backbone-weights FILE",
        "--weights FILE",
        "--random-predictors SEED",
        "pcbench train --model NAME",
    ):
        assert option in said


@pytest.mark.parametrize("name", [name for name in zoo_names() if not name.endswith((CONTROL, PAPER))])
def test_what_the_list_says_of_weights_is_what_the_entry_says(name: str) -> None:
    entry, said = zoo_entry(name), weights_needed(name)
    come = entry.weights is not None and entry.trained_on_backbone is None
    assert (said == "pcbench's") is come
    assert ("predictors yours" in said) is (entry.weights is None)
    assert ("from a file" in said) is (not come and entry.pretrained is None)
