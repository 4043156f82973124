"""Oracles: `unroll(keep=…)` on the same batches, numpy's and scikit-learn's own functions, and uninterrupted bytes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pcbench
from pcbench.cli.main import main
from pcbench.errors import DataError, PcbenchError, RunError, UnknownNameError, UsageError
from pcbench.files import Point, file_sha256, watched
from pcbench.harness.engines import local
from pcbench.harness.work.extraction import pooled, projection
from pcbench.models.loading import load
from pcbench.network.network import PredictiveNetwork
from pcbench.results.directory import open_run
from pcbench.results.extraction import Extraction, open_extraction

OPTIONS: dict[str, Any] = {
    "model": "pdigits",
    "data": "digits",
    "images": 10,
    "timesteps": 1,
    "batch_size": 2,
    "block_size": 4,
    "threads": 1,
    "workers": 1,
    "keep": ["representations", "errors:1", "0"],
    "progress": False,
}


WORDS = ["extract", "--data", "digits", "--images", "10", "--timesteps", "1", "--batch-size", "2", "--block-size", "4"]
WORDS += ["--threads", "1", "--workers", "1", "-k", "representations", "-k", "errors:1", "-k", "0"]
"""The same as a command."""


def extract(out: Path, **options: Any) -> Extraction:
    return pcbench.extract(**{**OPTIONS, "out": out, **options})


def bytes_of(folder: Path) -> dict[str, str]:
    """Hashes of what has to be the same however the work is spread."""
    names = ("*.npy", "*.parquet", "image_ids.json")
    found = [path for name in names for path in folder.rglob(name)]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(found)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    return extract(tmp_path_factory.mktemp("extraction") / "whole")


def test_arrays_are_what_unroll_keeps(whole: Extraction) -> None:
    model = load("pdigits")
    assert isinstance(model.network, PredictiveNetwork)
    from pcbench.data.sources import open_source

    source = open_source("digits", preprocessing=model.preprocessing).take(10)
    assert whole.ids == source.ids
    assert whole.names == (
        "representations/1",
        "representations/2",
        "representations/3",
        "errors/1",
        "modules/0",
        "logits",
    )
    held = {name: whole.array(name) for name in whole.names}
    for start in range(0, 10, 2):
        images = source.load(range(start, start + 2)).float() / 255
        kept = model.network.unroll(images, 1, keep=("representations", "errors", "0"))
        expected = {
            **{f"representations/{n + 1}": [each[n] for each in kept.representations] for n in range(3)},
            "errors/1": [each[0] for each in kept.errors],
            "modules/0": kept.modules["0"],
            "logits": kept.logits,
        }
        for name, values in expected.items():
            assert np.array_equal(held[name][start : start + 2], torch.stack(list(values), 1).numpy()), name
    assert extract(whole.folder).found


def test_the_manifest_says_what_each_array_is(whole: Extraction) -> None:
    manifest = json.loads((whole.folder / "extraction.json").read_text())
    arrays = {array["name"]: array for array in manifest["arrays"]}
    for name in whole.names:
        assert np.load(whole.folder / arrays[name]["file"]).shape == tuple(arrays[name]["shape"])
        assert len(arrays[name]["axes"]) == len(arrays[name]["shape"])
    assert arrays["representations/2"]["module"] == "3"
    assert manifest["command"].startswith("pcbench extract --data digits --images 10")
    assert manifest["spec"]["model"]["backbone_sha256"]
    with pytest.raises(UnknownNameError, match="did you mean 'representations/3'"):
        whole.array("representations/4")
    with pytest.raises(UsageError, match="an extraction, which has no tables"):
        _ = whole.metrics
    with pytest.raises(UsageError, match="is an extraction, which holds no measurements"):
        open_run(whole.folder)


def test_workers_and_shards_make_the_same_bytes(
    whole: Extraction,
    tmp_path: Path,
    forks: forking.Forks,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(local, "subprocess", forks.subprocess)
    assert bytes_of(extract(tmp_path / "workers", workers=2).folder) == bytes_of(whole.folder)
    for number in (1, 2):
        with pytest.raises(SystemExit, match="0"):
            main([*WORDS, "--shard", f"{number}/2", "--out", str(tmp_path / "shards")])
    with pytest.raises(SystemExit, match="0"):
        main(["merge", str(tmp_path / "shards"), "--out", str(tmp_path / "merged")])
    printed = capsys.readouterr().out
    assert "representations/1" in printed
    assert "wrote" in printed
    merged = pcbench.merge(tmp_path / "shards", tmp_path / "merged")
    assert isinstance(merged, Extraction)
    assert merged.found
    assert bytes_of(merged.folder) == bytes_of(whole.folder)


class _StoppedError(BaseException):
    pass


@contextmanager
def stopped(when: Callable[[int, str], bool]) -> Iterator[None]:
    """Stop the work at a point of writing files, of which number and words are given."""
    numbers = itertools.count()

    def look(point: Point) -> None:
        if when(next(numbers), str(point)):
            raise _StoppedError

    with pytest.raises(_StoppedError), watched(look):
        yield


def test_what_is_stopped_at_any_point_ends_with_the_same_bytes(whole: Extraction, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for last in (1, 17, 60, 97, 23, 12, 7):  # one after the other, in one folder
        with stopped(lambda number, _, last=last: number == last):
            extract(out)
        assert not out.exists()
    assert bytes_of(extract(out).folder) == bytes_of(whole.folder)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


def test_rows_that_were_changed_before_the_end_are_computed_again(whole: Extraction, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with stopped(lambda _, point: point == "after rename 00001.part"):
        extract(out)
    arrays = tmp_path / "out.partial" / "arrays" / "representations"
    rows = np.load(arrays / "1.npy", mmap_mode="r+")
    rows[0, 0] += 1
    rows.flush()
    (arrays / "2.npy").unlink()
    lost = r"representations/1\.npy: images 1 to 4 \(and of 1 more units\) were changed or lost; the same command"
    with pytest.raises(RunError, match=lost):
        extract(out)
    assert bytes_of(extract(out).folder) == bytes_of(whole.folder)


def test_hdf5_holds_the_same(whole: Extraction, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    found = extract(tmp_path / "one-file", format="hdf5")
    for name in whole.names:
        assert np.array_equal(found.array(name), whole.array(name))
    with h5py.File(found.folder / "arrays.h5") as file:
        assert [text.decode() for text in file["image_ids"]] == list(whole.ids)


def test_smaller_forms_are_made_of_the_whole_ones(whole: Extraction, tmp_path: Path) -> None:
    small = extract(tmp_path / "small", pool="mean", project=8, dtype="float16", keep=["representations"])
    pooled_values = {name: whole.array(name).mean((3, 4)) for name in small.names if name != "logits"}
    shapes = {name: small.array(name).shape for name in small.names}
    assert shapes == {name: (10, 2, 8 if name[-1] in "23" else 4) for name in pooled_values} | {"logits": (10, 2, 10)}
    np.testing.assert_allclose(
        small.array("representations/1"), pooled_values["representations/1"], rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(
        small.array("representations/2"), pooled_values["representations/2"], rtol=1e-3, atol=1e-6
    )
    values = pooled_values["representations/3"].reshape(-1, 16)
    expected = projection(16, 8, 0)(values).reshape(10, 2, 8)
    np.testing.assert_allclose(small.array("representations/3"), expected, rtol=2e-3, atol=1e-3)
    assert small.array("logits").dtype == np.float16


def test_pooling_and_projection() -> None:
    values = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(pooled(values, "mean_square"), (values.numpy() ** 2).mean((2, 3)), rtol=1e-6)
    assert np.array_equal(pooled(values, "max"), values.numpy().max((2, 3)))
    assert pooled(values[:, :, 0, 0], "max").shape == (3, 4)
    flat = np.random.default_rng(1).standard_normal((40, 3000), dtype=np.float32)
    project = projection(3000, 400, 5)
    assert np.array_equal(project(flat)[7:8], project(flat[7:8]))
    np.testing.assert_allclose(project(flat - flat[::-1]), project(flat) - project(flat)[::-1], atol=1e-3)
    assert not np.array_equal(projection(3000, 400, 6)(flat), project(flat))
    ratios = np.linalg.norm(project(flat), axis=1) / np.linalg.norm(flat, axis=1)
    assert 0.8 < ratios.min() <= ratios.max() < 1.2


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A flat folder of grey and coloured pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        grey = np.full((32, 32), 40 * number, dtype=np.uint8)
        Image.fromarray(grey if number % 2 else np.stack([grey] * 3, 2)).save(folder / f"{number}.png")
    return folder


def test_pictures_need_no_labels_except_to_be_measured(pictures: Path, tmp_path: Path) -> None:
    options = {"images": None, "keep": ["logits"]}
    found = extract(tmp_path / "flat", data=f"imagefolder:{pictures}", **options)
    assert found.ids == ("0.png", "1.png", "2.png", "3.png", "4.png")
    held = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(pictures.iterdir())]
    tensors = torch.from_numpy(np.stack(held)).permute(0, 3, 1, 2)
    pictures_alone = (np.stack(held), [Image.fromarray(one) for one in held], (np.stack(held), None))
    data_sets = (TensorDataset(tensors), DataLoader(TensorDataset(tensors), batch_size=2))
    for number, data in enumerate((*pictures_alone, *data_sets)):
        given = extract(tmp_path / f"object-{number}", data=data, **options)
        assert np.array_equal(given.array("logits"), found.array("logits"))
    with pytest.raises(DataError, match=r"shape \(32, 32, 3\) is one image .*give images\[None\]"):
        extract(tmp_path / "one", data=held[0], **options)
    with pytest.raises(DataError, match="images are expected in one folder per class; pcbench extract needs no labels"):
        pcbench.run("pdigits", ["digits-c"], data=f"imagefolder:{pictures}", progress=False)
    (pictures / "2.png").write_bytes((pictures / "2.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"2\.png"):
        extract(tmp_path / "damaged", data=f"imagefolder:{pictures}", **options)
    rest = extract(tmp_path / "damaged", data=f"imagefolder:{pictures}", skip_damaged=True, **options)
    assert len(rest.ids) == 4
    assert any("2.png" in note for note in rest.manifest["notes"])
    with pytest.raises(UsageError, match="pictures exists and is not an extraction of pcbench; give another folder"):
        extract(pictures, data=f"imagefolder:{pictures}", skip_damaged=True, **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no images, and no folders of images$"):
        extract(tmp_path / "none", data=f"imagefolder:{tmp_path / 'empty'}", **options)


def test_what_does_not_fit_the_disk_is_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcbench.harness.extraction.plan.free_bytes", lambda _: 100_000)
    with pytest.raises(
        UsageError, match=r"needs 1\.\d MB and 100 kB are free .*most of it for .*pool='mean', project=512"
    ):
        extract(tmp_path / "large")
    assert list(tmp_path.iterdir()) == []
    assert extract(tmp_path / "small", pool="mean").ids


def test_the_command_prints_what_it_wrote(whole: Extraction, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*WORDS, "--out", str(whole.folder)])
    printed = capsys.readouterr().out
    assert "10 x 2 x 4 x 32 x 32" in printed
    assert f"found {whole.folder}" in " ".join(printed.split())


def test_a_dry_run_prints_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(
            [
                "extract",
                "--images",
                "10",
                "-T",
                "1",
                "--keep",
                "representations:3",
                "--dry-run",
                "--out",
                str(tmp_path / "x"),
            ]
        )
    printed = capsys.readouterr().out
    assert "10 x 2 x 16 x 8 x 8" in printed
    assert "Disk: 83 kB" in printed  # 10 x 2 x (1024 + 10) x 4
    assert list(tmp_path.iterdir()) == []


class Odd(nn.Module):
    """A classifier whose modules have odd names, one of which overflows float16 and one that does not run."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("a/b c", nn.Conv2d(3, 2, 3))
        self.add_module("A/b c", nn.ReLU())
        self.add_module("ünused", nn.Linear(2, 2))
        self.head = nn.Linear(2, 10)
        self.side = nn.Softmax(1)
        self.of_all = nn.Flatten(0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.get_submodule("A/b c")(self.get_submodule("a/b c")(images))
        self.side(found / 0)  # not a number where there is none
        self.of_all(found)
        return self.head(found.mean((2, 3))) * 1e6


def test_modules_of_a_feedforward_network_by_any_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images = Odd().eval(), torch.rand(3, 3, 8, 8)
    options = {"model": network, "data": images, "images": None, "timesteps": None}
    found = extract(tmp_path / "odd", keep=["a/b c", "A/b c", "side"], **options)
    assert extract(tmp_path / "odd", keep=["a/b c", "A/b c", "side"], **options).found
    assert any("modules/side: 100.00 % of its values are not finite" in note for note in found.manifest["notes"])
    with torch.no_grad():
        grey = (images * 255).round() / 255
        first = network.get_submodule("a/b c")(grey)
    np.testing.assert_allclose(found.array("modules/a/b c")[:, 0], first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.array("modules/A/b c")[:, 0], first.relu(), rtol=1e-5, atol=1e-6)
    for keep, kind, problem in (
        (["representations"], UsageError, "has no representations: it is not a predictive network"),
        (["ünused"], UsageError, "the module ünused does not run"),
        (["of_all"], UsageError, r"modules/of_all has the shape \(144,\) for 2 images, so it does not have one value"),
        (["haed"], UnknownNameError, "did you mean 'head'"),
    ):
        with pytest.raises(kind, match=problem):
            extract(tmp_path / "refused", keep=keep, **options)
    with pytest.raises(RunError, match=r"logits reaches .*, more than float16 holds") as failed:
        extract(tmp_path / "refused", keep=["logits"], dtype="float16", **options)
    assert "missing" not in str(failed.value)  # an extraction has no such option


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keep": ["representations:4"]}, "pdigits has the PCoders 1 to 3: representations:1"),
        ({"keep": ["representation"]}, "did you mean 'representations'"),
        ({"suites": ["digits-c"]}, "option 'suites' does not exist"),
        ({"project": 0}, "`project` is a whole number from 1"),
        ({"dtype": "float64"}, "dtype 'float64' does not exist"),
    ],
)
def test_requests_that_cannot_be_met(tmp_path: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(PcbenchError, match=problem):
        extract(tmp_path / "refused", **options)


def test_an_extraction_is_opened_again(whole: Extraction, tmp_path: Path) -> None:
    assert open_extraction(whole.folder).names == whole.names
    with pytest.raises(UsageError, match="is not an extraction"):
        open_extraction(tmp_path)
