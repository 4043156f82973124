"""A configuration that is given for a model.

Oracle: the same numbers set by hand on the model as it is; its own backbone, weights and normalisation.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import pcbench
from pcbench.errors import ConfigurationError, UsageError
from pcbench.models.architectures import CifarResNet
from pcbench.models.loading import load, model_facts
from pcbench.models.zoo import zoo_entry
from pcbench.network.update import Hyperparameters
from pcbench.training.hyperparameters import write_configuration

GIVEN = (Hyperparameters(0.5, 0.25, 0.125), Hyperparameters(0.75, 0.0, 0.5), Hyperparameters(1.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = load("pdigits").network
    assert network is not None
    path = tmp_path_factory.mktemp("given") / "tuned.toml"
    write_configuration(path, network.configuration.table, GIVEN, ["by a test"])
    return path


def test_a_zoo_model_takes_the_dynamics_of_a_file_and_keeps_the_rest(tuned: Path) -> None:
    own, given = load("pdigits"), load("pdigits", configuration=tuned)
    assert own.network is not None
    assert given.network is not None
    assert given.network.hyperparameters == GIVEN
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    own.network.hyperparameters = GIVEN
    assert torch.equal(given.network(images, 2), own.network(images, 2))
    changed = {key for key in given.description if given.description[key] != own.description.get(key)}
    assert changed == {"given_configuration", "configuration_sha256"}
    assert given.class_names == own.class_names
    assert given.marked_name == "pdigits+tuned"
    facts = model_facts("pdigits", configuration=str(tuned))
    assert (dict(facts.description), facts.marked_name) == (dict(given.description), given.marked_name)


class Stating(nn.Sequential):
    """A classifier that says all that there is to say of it."""

    mean, std, class_names = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5), ("one", "two")


def test_a_classifier_of_ones_own_keeps_mean_std_and_classes(tmp_path: Path) -> None:
    module = Stating(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2)).eval()
    path = tmp_path / "own.toml"
    path.write_text('input_size = [3, 8, 8]\n[[pcoders]]\nmodule = "1"\n', encoding="utf-8")
    model = load(module, configuration=path, random_predictors=0, timesteps=1)
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (module.mean, module.std))
    assert model.network is not None
    assert torch.equal(model.network(images, 1)[0], module((images - mean) / std))
    assert model.class_names == ("one", "two")
    network = pcbench.predify(module, path, mean=module.mean, std=module.std)
    assert load(network, configuration=path).marked_name == "network+own"
    with pytest.raises(ConfigurationError, match="is the configuration of another network"):
        load(network, configuration=zoo_entry("pdigits").configuration_path)


@pytest.mark.parametrize(
    ("model", "file", "problem"),
    [
        ("pdigits", "presnet20_cifar10.toml", "its PCoders are on layer1, layer2, layer3 instead of 1, 3, 5"),
        ("pvgg16", "pdigits.toml", "images of 3x32x32 instead of images of 3x224x224"),
        ("presnet20_cifar10", "pdigits.toml", r"\[1\]\): the backbone has no such module"),
        ("pdigits_feedforward", "pdigits.toml", "give model='pdigits' with `configuration`"),
    ],
)
def test_a_configuration_of_another_network_is_one_line(model: str, file: str, problem: str) -> None:
    path = Path(str(zoo_entry("pdigits").configuration_path)).with_name(file)
    given = CifarResNet() if model == "presnet20_cifar10" else model  # without its published weights
    with pytest.raises(UsageError, match=problem):
        (load if isinstance(given, nn.Module) else model_facts)(given, configuration=path, random_predictors=0)


def test_a_function_states_its_classes_and_one_without_mean_and_std_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Oracle: the attributes of the module that the function makes.
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = "from torch import nn\ndef plain():\n"
    text += "    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))\n"
    text += "    made.class_names = ('one', 'two')\n    return made\n"
    (tmp_path / "states_classes.py").write_text(text, encoding="utf-8")
    (tmp_path / "own.toml").write_text('input_size = [3, 8, 8]\n[[pcoders]]\nmodule = "0"\n', encoding="utf-8")
    for model in ("own.toml@states_classes:plain", "states_classes:plain"):
        for _ in range(2):
            given = {"configuration": "own.toml"} if ".toml" not in model else {}
            found = load(model, random_predictors=0, timesteps=1, **given)
            assert found.class_names == ("one", "two")
        lines = [record.message for record in caplog.records if record.message.startswith(f"{model} states no mean")]
        assert len(lines) == 1
        assert "mean 0 and std 1" in lines[0]
