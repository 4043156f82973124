"""Oracles: one worker in this process, whose bytes several workers have to make; and the operating system, which says
which processes are alive."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import forking
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import pcbench
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import RunError, UsageError
from pcbench.files import Point, watched
from pcbench.harness import work
from pcbench.harness.engines import local
from pcbench.harness.start import run
from pcbench.network.network import PredictiveNetwork
from pcbench.results.directory import Run
from pcbench.results.parts import read_part

IMAGES, BATCH, BLOCK = 24, 4, 8

# The nearest class mean in the pixels, which talks. It knows an image by its product with fixed random numbers.
HELPER = """
import json, os, pathlib, signal, time
import torch
from torch import nn
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source

TURNED = torch.tensor(TURNED_NUMBERS)
print("imported")


class Talking(nn.Module):
    input_size = (3, 32, 32)

    def __init__(self):
        super().__init__()
        source = open_source("digits", preprocessing=Preprocessing(), split="train")
        images = source.load(range(400)).flatten(1) / 255
        labels = torch.from_numpy(source.labels[:400].copy())
        means = torch.stack([images[labels == label].mean(0) for label in range(10)])
        self.layer = nn.Linear(3072, 10)
        self.layer.weight.data.copy_(means)
        self.layer.bias.data.copy_(-means.square().sum(1) / 2)
        self.register_buffer("probe", torch.randn(3072, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        print("forward", flush=True)
        os.write(1, b"\\x00\\xff raw bytes without a line's end")
        pixels = images.flatten(1)
        numbers = pixels.detach() @ self.probe
        what = json.loads(os.environ.get("WHAT", "{}"))
        if "once" in what and bool(((numbers - what["once"]).abs() < 1e-3).any()):
            marker = pathlib.Path(what["marker"])
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if "always" in what and bool(((numbers - what["always"]).abs() < 1e-3).any()):
            os.kill(os.getpid(), signal.SIGKILL)
        if "asleep" in what and len(images) > 1 and os.getpid() != int(os.environ["DRIVER"]):
            pathlib.Path(what["asleep"]).touch()
            time.sleep(100)
        turned = ((numbers[:, None] - TURNED).abs() < 1e-3).any(1)
        logits = self.layer(pixels)
        logits = torch.where(turned[:, None], -logits, logits)
        return torch.stack([logits, logits / 2])


def make():
    what = json.loads(os.environ.get("WHAT", "{}"))
    if "pids" in what:
        pathlib.Path(what["pids"], str(os.getpid())).touch()
    return Talking()
"""


@pytest.fixture(scope="module", autouse=True)
def without_report() -> Iterator[None]:
    """Leave out pages and figures: they are made from a finished run, whichever worker computed it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        yield


def measure(model: str, folder: Path, suites: Sequence[Path], **options: object) -> Run:
    settings: dict[str, object] = {"images": IMAGES, "timesteps": 1, "data": "digits", "progress": False, "threads": 1}
    settings.update({"batch_size": BATCH, "block_size": BLOCK, **options})
    return run(model, [str(suite) for suite in suites], out=folder, **settings)


@pytest.fixture(scope="module")
def numbers() -> list[float]:
    """By which number the talking model knows each image of the runs here."""
    images = open_source("digits", preprocessing=Preprocessing(), split="test").take(IMAGES).load(range(IMAGES))
    found = (images.flatten(1) / 255) @ torch.randn(3072, generator=torch.Generator().manual_seed(0))
    assert len(set(found.tolist())) == IMAGES
    return found.tolist()


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> Iterator[Path]:
    """The folder of the module `talking`, which can be imported; it is wrong on every image of the second block."""
    folder = tmp_path_factory.mktemp("helper")
    (folder / "talking.py").write_text(HELPER.replace("TURNED_NUMBERS", str(numbers[BLOCK : 2 * BLOCK])))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(scope="module")
def suites(shared_suites: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Corruptions, attacks, and attacks on images that are right at every timestep."""
    ruled = tmp_path_factory.mktemp("ruled") / "attacks" / "ruled"
    ruled.mkdir(parents=True)
    for path in shared_suites[1].iterdir():
        text = path.read_text().replace('name = "small"', 'name = "ruled"\nimages = "correct_at_every_timestep"')
        (ruled / path.name).write_text(text)
    return (*shared_suites, ruled)


@pytest.fixture(scope="module")
def of_zoo(
    suites: tuple[Path, Path, Path], forks: forking.Forks, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Run]:
    """Runs of a model of the zoo with everything that a run can make: by one worker, and by two."""
    folder = tmp_path_factory.mktemp("zoo")
    # The rival attacks take as long for one image as for a batch: all lie in one. The units are enough for two workers.
    kept: dict[str, object] = {"images": BLOCK, "batch_size": BLOCK, "checks": True, "save_adversarials": True}
    kept["timesteps"] = 0  # the talking model below has two timesteps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "subprocess", forks.subprocess)
        one, two = (measure("pdigits", folder / f"{count}", suites[:2], workers=count, **kept) for count in (1, 2))
    return one, two


def test_two_workers_make_the_bytes_of_one(of_zoo: tuple[Run, Run]) -> None:
    one, two = of_zoo
    kinds = {name.partition("/")[0] for name in one.manifest["files"]}
    assert kinds >= {"metrics.parquet", "metrics.csv", "outcomes", "adversarials", "checks", "checks.json", "examples"}
    assert len([name for name in one.manifest["files"] if name.startswith("adversarials/")]) == 2
    assert one.key == two.key
    assert one.manifest["files"] == two.manifest["files"]
    assert one.metrics.equals(two.metrics)


@pytest.fixture(scope="module")
def by_one(helper: Path, suites: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one worker makes of the talking model: the parts, while they are there, and the finished files."""
    del helper
    folder = tmp_path_factory.mktemp("talking")
    parts: dict[str, bytes] = {}

    def keep(point: Point) -> None:
        if point.moment == "after" and point.step == "rename" and point.path.suffix == ".part":
            parts[point.path.relative_to(folder / "one.partial").as_posix()] = point.path.read_bytes()

    with watched(keep):
        measure("talking:make", folder / "one", (suites[0], suites[2]))
    return {**parts, **_contents(folder / "one")}


def _contents(folder: Path) -> dict[str, bytes]:
    """The tables of a run."""
    named = (path for path in folder.rglob("*") if path.suffix in (".parquet", ".csv", ".json", ".png"))
    # The manifest says when.
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in named if path.name != "manifest.json"}


SCRIPT = """
import os, pathlib, sys
os.environ["DRIVER"] = str(os.getpid())
import pcbench
import pcbench.harness.run
pcbench.harness.run._write_report = lambda *_: None
made = pcbench.run("talking:make", {suites}, out={out!r}, images=24, timesteps=1, data="digits", progress=False,
                   threads=1, batch_size=4, block_size=8, workers=2)
pathlib.Path({out!r}).with_name("told").write_text(str(made.metrics.shape))
"""


def _script(
    helper: Path, out: Path, suites: Sequence[Path], what: dict[str, object], starting: Any = subprocess
) -> subprocess.Popen[bytes]:
    """Start a script that calls `pcbench.run` at its outermost level, unguarded."""
    script = out.parent / "script.py"
    script.write_text(SCRIPT.format(suites=[str(suite) for suite in suites], out=str(out)))
    variables = {**os.environ, "WHAT": json.dumps(what), "PYTHONPATH": f"{helper}{os.pathsep}{Path.cwd()}"}
    return starting.Popen(
        [sys.executable, str(script)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=out.parent
    )


def test_a_script_without_a_guard_and_a_model_that_prints_make_the_same_bytes(
    helper: Path,
    by_one: dict[str, bytes],
    suites: tuple[Path, Path, Path],
    forks: forking.Forks,
    tmp_path: Path,
) -> None:
    process = _script(helper, tmp_path / "two", (suites[0], suites[2]), {}, forks.subprocess)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    # The driver asks for the network's classes, so that it prints; so does either worker.
    assert printed.count(b"imported") == 3
    assert (tmp_path / "told").is_file()
    two = _contents(tmp_path / "two")
    assert two == {name: content for name, content in by_one.items() if name in two}
    assert {"metrics.csv", "metrics.parquet", "answers.parquet", "outcomes/ruled/pgd-t1.parquet"} <= set(two)


def test_a_block_of_which_a_rule_keeps_nothing_leaves_an_empty_part(by_one: dict[str, bytes], tmp_path: Path) -> None:
    rows: dict[tuple[str, int], int] = {}
    for name, content in by_one.items():
        if name.endswith(".part") and "/ruled/" in name:
            (tmp_path / "one.part").write_bytes(content)
            header = json.loads(content.split(b"\n")[1])
            unit = str(header["unit"])
            table = read_part(tmp_path / "one.part", key=header["key"], unit=unit).table
            rows[unit.rpartition("/")[0], int(unit.rpartition("/")[2])] = table.num_rows
    conditions = {condition for condition, _ in rows}
    assert {"scores/ruled/clean", "attacks/ruled/fgsm-t0", "attacks/ruled/pgd-t1"} <= conditions
    for condition in conditions:
        assert rows[condition, 1] == 0
        assert rows[condition, 0] > 0
        assert rows[condition, 2] > 0
    clean = pd.read_parquet(io.BytesIO(by_one["outcomes/ruled/clean.parquet"]))
    attacked = pd.read_parquet(io.BytesIO(by_one["outcomes/ruled/pgd-t1.parquet"]))
    assert clean["correct"].all()
    assert set(attacked["image_id"].astype(str)) == set(clean["image_id"].astype(str))


@pytest.mark.with_pictures
def test_a_worker_that_is_killed_is_replaced_and_one_that_always_is_fails_its_unit(
    helper: Path,
    numbers: list[float],
    suites: tuple[Path, Path, Path],
    forks: forking.Forks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del helper
    monkeypatch.setattr(local, "subprocess", forks.subprocess)
    what = {"once": numbers[BLOCK], "marker": str(tmp_path / "marker"), "always": numbers[2 * BLOCK]}
    with monkeypatch.context() as patch:
        patch.setenv("WHAT", json.dumps(what))
        with pytest.raises(RunError) as failed:
            measure("talking:make", tmp_path / "run", suites[:1], workers=2)
    assert (tmp_path / "marker").is_file()
    units = 3 * 5 + 1
    text = str(failed.value)
    assert text.startswith(f"1 of {units} units failed: two: clean, images 17 to 24: its worker ended 2 times")
    assert "killed by SIGKILL, as the system does when memory runs out" in text
    assert len(list((tmp_path / "run.partial" / "parts").rglob("*.part"))) == units  # and all but one of the answers
    # What is left is done by one worker, and is what one worker makes of the whole.
    measure("talking:make", tmp_path / "run", suites[:1])
    measure("talking:make", tmp_path / "whole", suites[:1])
    assert _contents(tmp_path / "run") == _contents(tmp_path / "whole")


def _wait_for(met: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def _alive(process: int) -> bool:
    """Return whether a process runs; one that ended and that nobody asked about yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_workers_end_when_their_driver_is_killed(
    helper: Path,
    suites: tuple[Path, Path, Path],
    forks: forking.Forks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, asleep = tmp_path / "pids", tmp_path / "asleep"
    started.mkdir()
    monkeypatch.setenv(forking.VARIABLE, forks.path)  # for the driver's workers
    what: dict[str, object] = {"pids": str(started), "asleep": str(asleep)}
    process = _script(helper, tmp_path / "run", suites[:1], what, forks.subprocess)
    try:
        _wait_for(lambda: asleep.is_file() and len(list(started.iterdir())) == 3, 40)  # the driver and its two workers
    finally:
        process.kill()
        process.communicate()
    workers = [int(path.name) for path in started.iterdir() if int(path.name) != process.pid]
    assert len(workers) == 2
    _wait_for(lambda: not any(_alive(worker) for worker in workers), 20)


def test_objects_are_refused_in_one_line_that_shows_another_way(
    network: PredictiveNetwork, suites: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    data = [torch.zeros(3, 32, 32)], [0]
    for model, images, form in ((network, "digits", "module:function"), ("pdigits", data, "imagefolder:PATH")):
        with pytest.raises(UsageError) as refused:
            run(model, [str(suites[0])], data=images, workers=2, out=tmp_path / "run", progress=False)
        assert form in str(refused.value)
        assert "workers=1" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_block_holds_whole_batches(tmp_path: Path) -> None:
    for sizes in ({"batch_size": 4, "block_size": 10}, {"block_size": 100}):  # a batch of 32 px is 128 images
        with pytest.raises(UsageError, match="`block_size` is a multiple of `batch_size`"):
            run("pdigits", ["digits-c"], out=tmp_path / "run", progress=False, **sizes)


class LargestPass(TorchDispatchMode):
    """Notes how many images a network's first and last layers are given at a time, by the shapes of their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, set[int]] = {"first": set(), "last": set()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func)
        if name.startswith("aten.convolution.") and tuple(args[1].shape) == (4, 3, 3, 3):
            self.sizes["first"].add(len(args[0]))
        if name.startswith("aten.addmm.") and tuple(args[2].shape) == (24, 10):
            self.sizes["last"].add(len(args[1]))
        return func(*args, **(kwargs or {}))


@pytest.mark.with_pictures
@pytest.mark.usefixtures("few_rivals")
def test_no_pass_holds_more_images_than_a_batch(
    network: PredictiveNetwork, suites: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    every = [str(suites[0]), str(suites[1]), "gaussian-noise", "manifold", "all-timesteps"]
    common: dict[str, object] = {"timesteps": 1, "progress": False, "threads": 1, "batch_size": 2, "block_size": 2}
    kept: dict[str, object] = {"images": 4, "data": "digits", "checks": True, "save_adversarials": True}
    works: set[str] = set()

    def note(point: Point) -> None:
        if point.path.suffix == ".part":
            works.add(point.path.relative_to(tmp_path).parts[2])

    with watched(note), LargestPass() as largest:
        run(network, every, out=tmp_path / "run", **kept, **common)
        run(network, adversarials=tmp_path / "run", out=tmp_path / "saved", **common)
        rounded: dict[str, object] = {"images": 4, "data": "digits", "precision": "bfloat16"}
        run(network, [str(suites[0])], out=tmp_path / "rounded", **rounded, **common)
        pcbench.extract(network, images=3, data="digits", keep=["representations"], out=tmp_path / "kept", **common)
    kinds = {path.stem for path in Path(work.__file__).parent.glob("*.py")} - {"__init__", "transferred"}
    assert works == kinds  # what is transferred is done within an attack
    assert largest.sizes == {"first": {1, 2}, "last": {1, 2}}
