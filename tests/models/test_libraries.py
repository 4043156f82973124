"""torchvision's and timm's classifiers by name.

Oracle: the libraries themselves: their transforms on an image that is not square, their networks with the same
weights, their own lists of names, and EfficientNetV2-B0's answers to photographs by timm alone.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision.models
from hub_stand_in import serving
from PIL import Image
from safetensors.torch import load_file, save, save_file
from timm.data import create_transform
from torch import Tensor

import pcbench
from pcbench import models
from pcbench.errors import PcbenchError, UnknownNameError, UsageError, WeightsError
from pcbench.models.entries import described_entry
from pcbench.models.naming import library_models
from pcbench.models.sizes import entry_preprocessing
from pcbench.models.zoo import ZooEntry, zoo_entry


def entry(name: str) -> ZooEntry:
    found = described_entry(name)
    assert found is not None
    return found


def photograph(height: int = 300, width: int = 451) -> np.ndarray:
    """Return smooth shades with noise over them, so that another filter or crop gives other pixels."""
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack([rows * 255 / height, columns * 255 / width, (rows + columns) * 255 / (height + width)], -1)
    noise = np.random.default_rng(0).normal(0, 20, smooth.shape)
    return (smooth + noise).clip(0, 255).astype(np.uint8)


def normalised(found: ZooEntry) -> Tensor:
    """Return the photograph as a network of pcbench gets it."""
    pixels = entry_preprocessing(found).apply(photograph(), "photograph")
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    return (image - torch.tensor(found.mean)[:, None, None]) / torch.tensor(found.std)[:, None, None]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet18", torchvision.models.ResNet18_Weights.IMAGENET1K_V1),
        ("resnet50", torchvision.models.ResNet50_Weights.IMAGENET1K_V2),
        ("resnet50@IMAGENET1K_V1", torchvision.models.ResNet50_Weights.IMAGENET1K_V1),
        ("efficientnet_b1", torchvision.models.EfficientNet_B1_Weights.IMAGENET1K_V2),
        (
            "vit_l_16@ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1",
            torchvision.models.ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1,
        ),
    ],
)
def test_an_image_reaches_the_network_as_torchvisions_own_transforms_make_it(name: str, weights: object) -> None:
    found = entry(f"torchvision:{name}")
    assert found.pretrained == weights.name
    theirs = weights.transforms()(Image.fromarray(photograph()))
    torch.testing.assert_close(normalised(found), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "side", "crop_pct"),
    [
        ("resnet18", 224, 0.95),  # trained at 224, tested at 288: 224, as the corruptions of ImageNet-C are made for it
        ("tf_efficientnetv2_b0", 224, 0.875),  # trained at 192, tested at 224
        ("tf_efficientnetv2_s.in21k", 384, 1.0),  # neither is 224: as it is tested
        ("mobilenetv2_100", 224, 0.875),
    ],
)
def test_an_image_reaches_the_network_as_timms_own_transform_makes_it(name: str, side: int, crop_pct: float) -> None:
    stated = timm.get_pretrained_cfg(name)
    keys = {"interpolation": stated.interpolation, "mean": stated.mean, "std": stated.std}
    theirs = create_transform((3, side, side), crop_pct=crop_pct, **keys)(Image.fromarray(photograph()))
    torch.testing.assert_close(normalised(entry(f"timm:{name}")), theirs, rtol=0, atol=1e-6)


def test_every_network_of_the_libraries_is_known_by_the_names_that_they_list() -> None:
    assert library_models("torchvision") == tuple(sorted(torchvision.models.list_models(module=torchvision.models)))
    assert library_models("timm") == tuple(sorted(timm.list_models()))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("torchvision:resnet18", torchvision.models.resnet18),
        ("timm:test_resnet", lambda: timm.create_model("test_resnet")),
    ],
)
def test_a_bare_backbone_is_a_feedforward_network_with_the_weights_of_a_file(
    name: str, make: object, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    network = make().eval()
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    model = models.load(name, backbone_weights=path)
    found = entry(name)
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(values)[:, None, None] for values in (found.mean, found.std))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images)[0], network((images - mean) / std))
    assert (model.timesteps, model.classes, model.description["feedforward"]) == (0, 1000, True)
    assert model.class_names[0] == "tench"
    with pytest.raises(UsageError, match="a configuration makes it predictive"):
        models.load(name, backbone_weights=path, timesteps=2)
    with pytest.raises(UsageError, match=f"are part of the name: {name}[.@]V2"):
        models.load(name, backbone_weights=path, weights="Weights.V2")


def test_densenets_are_read_under_the_names_in_which_torchvision_publishes_them(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = torchvision.models.densenet121(weights=None).eval()
    published = {}
    for key, value in network.state_dict().items():
        layer, _, rest = key.partition("denselayer")
        published[f"{layer}denselayer{rest.replace('norm1', 'norm.1').replace('norm2', 'norm.2')}" if rest else key] = (
            value
        )
    published = {key.replace(".conv1.", ".conv.1.").replace(".conv2.", ".conv.2."): v for key, v in published.items()}
    torch.save(published, tmp_path / "densenet121.pth")
    model = models.load("torchvision:densenet121", backbone_weights=tmp_path / "densenet121.pth")
    assert model.classes == 1000


def test_timms_weights_come_from_its_repository_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    torch.manual_seed(4)
    network = timm.create_model("test_resnet").eval()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        server.commit("timm/test_resnet.r160_in1k", {"model.safetensors": save(network.state_dict())})
        model = models.load("timm:test_resnet")
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    found = entry("timm:test_resnet")
    mean, std = (torch.tensor(values)[:, None, None] for values in (found.mean, found.std))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images)[0], network((images - mean) / std))


def test_weights_that_cannot_be_fetched_are_one_line_with_the_way_to_give_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"cannot be reached .*; give them with backbone_weights='FILE'") as caught:
        models.load("timm:resnet18")
    assert "https://huggingface.co/timm/resnet18.a1_in1k" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet50", "write torchvision:resnet50 or timm:resnet50"),
        ("ResNet-50", "write torchvision:resnet50 or timm:resnet50"),
        ("tf_efficientnetv2_b0", "write timm:tf_efficientnetv2_b0"),
        ("resnet50.a1_in1k", "write timm:resnet50.a1_in1k"),
        ("effcientnet_b0", "did you mean torchvision:efficientnet_b0"),
        ("pvgg61", "did you mean 'pvgg16'"),
        ("timm/resnet18", "; write timm:resnet18"),
        ("timm.models.resnet.resnet18", "; write timm:resnet18"),
        ("torchvision.models.resnet18", "; write torchvision:resnet18"),
        ("pcbench.models.Net", "write pcbench.models:Net for a function of your own"),
        (".py/" * 200, "does not exist"),
        ("mymodel.py", "write mymodel:FUNCTION"),
        ("resnet.pth", "is given with backbone_weights='resnet.pth'"),
        ("microsoft/resnet-50", "write hf:microsoft/resnet-50"),
    ],
)
def test_a_name_that_is_no_model_says_how_the_one_that_was_meant_is_written(name: str, says: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        zoo_entry(name)
    assert says in str(caught.value)
    assert "did you mean 'presnet50'" not in str(caught.value)


def test_a_name_that_is_no_model_imports_no_library() -> None:
    code = (
        "import sys\nfrom pcbench.models.zoo import zoo_entry\n"
        "try:\n    zoo_entry('resnet50')\nexcept Exception as error:\n    print(error)\n"
        "print([name for name in ('torch', 'torchvision', 'timm', 'numpy') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.splitlines()[1] == "[]"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("torchhub:pytorch/vision:resnet18", "give model='mymodels:FUNCTION'"),
        ("timm:hf-hub:timm/resnet18.a1_in1k", "as hf:timm/resnet18.a1_in1k"),
        ("Timm:resnet18", "write timm:resnet18"),
        ("torchvision.models:resnet18", "with random weights; write torchvision:resnet18"),
        ("torchvision:fcn_resnet50", "is no classifier of images"),
        ("torchvision:resnet5", "did you mean 'resnet50'"),
        ("torchvision:resnet50@V2", "known: IMAGENET1K_V1, IMAGENET1K_V2"),
        ("timm:resnet18.foo", "a1_in1k"),
        ("timm:vit_base_patch16_clip_224.openai", "gives features and no classes"),
        ("timm:", "own list_models()"),
        ("https://huggingface.co/timm/resnet18.a1_in1k/tree/main", "write hf:timm/resnet18.a1_in1k"),
        ("mymodel.py:Net", "write mymodel:Net"),
        ("keras:resnet50", "prefixes of libraries are torchvision:, timm:, hf:, robustbench:"),
        ("hf:resnet18", "as hf:OWNER/REPO"),
    ],
)
def test_what_is_written_otherwise_is_one_line(name: str, says: str) -> None:
    with pytest.raises(PcbenchError) as caught:
        models.load(name)
    assert says in str(caught.value)


def test_of_timms_published_networks_no_classifier_is_taken_for_features() -> None:
    # Whose tags say in1k or in21k and the like are classifiers; numbers of features are 384 to 1280.
    for name in timm.list_models(pretrained=True):
        classes = timm.get_pretrained_cfg(name).num_classes
        if "in1k" in name or "in22k" in name or "in21k" in name:
            assert classes in {0, 1000} or classes >= 10_000, name


def test_efficientnetv2_answers_as_by_timm_alone(test_data: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    images = test_data / "imagenette" / "val-500.parquet"
    weights = test_data / "weights" / "tf_efficientnetv2_b0.imagenet.safetensors"
    suite = tmp_path / "corruptions" / "small"
    suite.mkdir(parents=True)
    (suite / "suite.toml").write_text('version = 1\ntitle = "small"\nsource = "a test"\n')
    shipped = Path(pcbench.__file__).parent.parent / "corruptions" / "imagenet-c" / "contrast.toml"
    (suite / "contrast.toml").write_bytes(shipped.read_bytes())
    run = pcbench.run(
        "timm:tf_efficientnetv2_b0",
        [str(suite)],
        data=f"parquet:{images}",
        backbone_weights=weights,
        images=4,
        out=tmp_path / "run",
    )
    network = timm.create_model("tf_efficientnetv2_b0").eval()
    network.load_state_dict(load_file(weights))
    stated = timm.get_pretrained_cfg("tf_efficientnetv2_b0")
    keys = {"interpolation": stated.interpolation, "mean": stated.mean, "std": stated.std}
    transform = create_transform((3, 224, 224), crop_pct=stated.crop_pct, **keys)
    rows = {row["image"]["path"]: row for row in pq.read_table(images).to_pylist()}
    outcomes = run.outcomes()
    clean = outcomes[outcomes["name"] == "clean"]
    assert len(clean) == 4
    assert len(outcomes) == 4 * (1 + 5)
    for _, row in clean.iterrows():
        given = rows[row["image_id"]]
        assert row["label"] == given["label"]
        with torch.no_grad():
            shares = network(transform(Image.open(io.BytesIO(given["image"]["bytes"])))[None]).softmax(-1)[0]
        assert row["prediction"] == int(shares.argmax())
        assert row["confidence"] == pytest.approx(float(shares.max()), abs=1e-4)
