"""Oracles: one worker in this process, whose bytes a cluster has to make; and Ray, which says where a worker is.

The cluster is two nodes on this machine. A file beside the model says what befalls its workers, for these have the
environment of their nodes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from pcbench.cli.status import _state
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import RunError, UsageError
from pcbench.harness.engines import ray as engine
from pcbench.harness.engines import ray_worker
from pcbench.harness.start import run
from pcbench.results.directory import Run

pytest.importorskip("ray", reason="the extra ray is not installed: no cluster here")

pytestmark = [
    pytest.mark.with_pictures,  # a worker makes them always
    # Ray leaves sockets and log files to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

IMAGES, BATCH, BLOCK = 24, 4, 8
UNITS = 3 * 5 + 1  # two corruptions at two severities, clean images, and the example pictures
OPTIONS: dict[str, Any] = {
    "images": IMAGES,
    "timesteps": 1,
    "data": "digits",
    "progress": False,
    "threads": 1,
    "batch_size": BATCH,
    "block_size": BLOCK,
    "workers": 1,
}

MODEL = Path(__file__).with_name("nearest.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def without_report() -> Iterator[None]:
    """Leave out pages and figures: they are made from a finished run, whichever worker computed it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes on this machine that say they have two cores each; a dead one is noticed within seconds."""
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_timeout_ms": 1000}
    head = {"num_cpus": 2, "include_dashboard": False, "_system_config": quick}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=2)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def numbers() -> list[float]:
    """By which number the model knows each image of the runs here."""
    images = open_source("digits", preprocessing=Preprocessing(), split="test").take(IMAGES).load(range(IMAGES))
    return ((images.flatten(1) / 255) @ torch.randn(3072, generator=torch.Generator().manual_seed(0))).tolist()


class Place:
    """The folder of the module `nearest`.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "nearest.py").write_text(MODEL.replace("the folder", str(folder)))
        self.tell()

    def tell(self, **what: object) -> None:
        """Say what befalls the model's workers from now on."""
        unfinished = self.folder / "what.unfinished"
        unfinished.write_text(json.dumps(what))
        unfinished.replace(self.folder / "what.json")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(made.folder)
        yield made


Measure = Callable[..., Run]


@pytest.fixture
def measure(home: Place, cluster: Any, shared_suites: tuple[Path, Path], tmp_path: Path) -> Iterator[Measure]:
    """Measure the model, on both nodes where nothing else is said."""

    def start(name: str = "run", **options: object) -> Run:
        ray = {"engine": "ray", "ray_address": cluster.address, "workers": 2, "cpus_per_worker": 2}
        given: dict[str, Any] = {**OPTIONS, **({} if options.get("engine") == "local" else ray), **options}
        return run("nearest:make", [str(shared_suites[0])], out=tmp_path / name, **given)

    home.tell()
    yield start
    home.tell()


@pytest.fixture(scope="module")
def whole(
    home: Place, shared_suites: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, bytes]:
    """What one worker in this process makes."""
    home.tell()
    made = run("nearest:make", [str(shared_suites[0])], out=tmp_path_factory.mktemp("whole") / "run", **OPTIONS)
    found = contents(made.folder)
    assert {"metrics.csv", "metrics.parquet", "answers.parquet", "outcomes/two/clean.parquet"} <= set(found)
    return found


# The hash of what each way of doing the run has made.
WAYS: dict[str, str] = {}


def is_whole(way: str, folder: Path, whole: Mapping[str, bytes]) -> bool:
    """Whether a run is what one worker makes of it."""
    found, digest = contents(folder), hashlib.sha256()
    for name, content in sorted(found.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    WAYS[way] = digest.hexdigest()[:16]
    return found == whole


def contents(folder: Path) -> dict[str, bytes]:
    """The tables and pictures of a run."""
    named = (path for path in folder.rglob("*") if path.suffix in (".parquet", ".csv", ".json", ".png"))
    # The manifest says when.
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in named if path.name != "manifest.json"}


def wait_for(met: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "run.partial" / "parts").rglob("*.part"))


def command(home: Place, suite: Path, tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command line in an empty folder."""
    working = tmp_path / "working"
    working.mkdir(exist_ok=True)
    options = ["--images", str(IMAGES), "-T", "1", "--data", "digits", "--threads", "1", "--batch-size", str(BATCH)]
    options += ["--block-size", str(BLOCK), "--out", str(tmp_path / "run"), "--engine", "ray", *words]
    code = "import pcbench.harness.run as run; run._write_report = lambda *_: None; "
    code += "from pcbench.cli.main import main; main()"
    arguments = [sys.executable, "-c", code, "run", "--model", "nearest:make", "--suite", str(suite), *options]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home.folder), str(Path.cwd())])}
    variables.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        arguments, cwd=working, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_cluster_that_the_run_starts_makes_the_same_bytes_and_says_nothing(
    home: Place, shared_suites: tuple[Path, Path], whole: Mapping[str, bytes], tmp_path: Path
) -> None:
    home.tell()
    process = command(home, shared_suites[0], tmp_path, "--workers", "2")
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert is_whole("Ray, a node of its own", tmp_path / "run", whole)
    assert list((tmp_path / "working").iterdir()) == []
    # Every line is pcbench's own: the time, and how far it is.
    assert [line for line in errors.splitlines() if not line[:2].isdigit() or " done, condition " not in line] == []
    assert "ray" not in printed.lower().replace(str(tmp_path).lower(), "")
    manifest = (tmp_path / "run" / "manifest.json").read_text()
    assert "engine" not in json.loads(manifest)["options"]


def test_workers_on_two_nodes_that_are_killed_leave_all_but_the_units_that_fail(
    home: Place, measure: Measure, numbers: list[float], whole: Mapping[str, bytes], tmp_path: Path
) -> None:
    places, deaths = tmp_path / "places", tmp_path / "deaths"
    places.mkdir()
    home.tell(
        once=numbers[BLOCK],
        marker=str(tmp_path / "marker"),
        always=numbers[2 * BLOCK],
        deaths=str(deaths),
        raises=numbers[BLOCK + BATCH],
        places=str(places),
    )
    with pytest.raises(RunError) as failed:
        measure()
    text = str(failed.value)
    assert (tmp_path / "marker").is_file()
    assert text.startswith(f"2 of {UNITS} units failed: ")
    assert re.search(r"two: clean, images 9 to 16: [^;]*ValueError: no answer to this;", text)
    assert "two: clean, images 17 to 24: its worker ended 2 times (" in text
    assert len(set(deaths.read_text().split())) == len(deaths.read_text().split()) == 2
    assert len(parts(tmp_path)) == UNITS - 2 + 1  # and the answers
    workers = [path.name.split() for path in places.iterdir()]
    assert len({node for node, _, _ in workers}) == 2
    assert {threads for _, _, threads in workers} == {"1"}
    # What is left is done by one worker here.
    home.tell()
    made = measure(engine="local")
    assert is_whole("Ray, two nodes, workers killed, then one process", made.folder, whole)


def test_a_driver_that_is_stopped_or_killed_leaves_what_one_worker_goes_on_with(
    home: Place,
    cluster: Any,
    measure: Measure,
    shared_suites: tuple[Path, Path],
    whole: Mapping[str, bytes],
    tmp_path: Path,
) -> None:
    words = ("--ray-address", cluster.address, "--workers", "2")
    home.tell(seconds=0.4)
    stopped = command(home, shared_suites[0], tmp_path, *words)
    with ended(stopped):
        wait_for(lambda: len(parts(tmp_path)) > 3)
        assert "under way" in _state(tmp_path / "run")
        stopped.send_signal(signal.SIGINT)
        _, errors = stopped.communicate(timeout=30)
    assert stopped.returncode == 130
    last = errors.splitlines()[-1]
    assert last.startswith("pcbench: stopped; ")
    assert last.endswith("the same command continues from here")
    before = len(parts(tmp_path))

    killed = command(home, shared_suites[0], tmp_path, *words)
    with ended(killed):
        wait_for(lambda: len(parts(tmp_path)) > before + 2)
    assert before + 2 < len(parts(tmp_path)) < UNITS
    home.tell()
    made = measure(engine="local")
    assert is_whole("Ray, its driver stopped, then killed, then one process", made.folder, whole)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Generator[None]:
    """Kill a process at the end, however that comes."""
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def move_elsewhere(home: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find nothing where this process has its own modules, as on another machine."""
    here = ray_worker.here

    def without_home(*arguments: Any) -> ray_worker.Place:
        found = here(*arguments)
        path = tuple(entry for entry in found.path if entry != str(home.folder))
        return ray_worker.Place(found.versions, found.machine, path, "/nowhere")

    monkeypatch.setattr("pcbench.harness.engines.ray_worker.here", without_home)


def test_a_node_that_lacks_what_the_run_needs_is_named(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with monkeypatch.context() as patch:
        here = ray_worker.here

        def other(versions: Mapping[str, str], machine: str | None) -> ray_worker.Place:
            return here({**versions, "torch": "0.4", "pcbench_code": "abc", "python": "3.9.1"}, machine)

        patch.setattr("pcbench.harness.engines.ray_worker.here", other)
        with pytest.raises(RunError) as refused:
            measure()
    text = str(refused.value)
    assert f"a worker cannot begin on node {socket.gethostname()} (" in text
    for part in (f"torch {torch.__version__.partition('+')[0]}", "(not 0.4)", "(not abc)", "(not 3.9.1)"):
        assert part in text
    assert text.endswith("install the same versions on every node")

    # The images lie in a folder of this machine alone.
    from PIL import Image

    images = tmp_path / "images"
    for label in range(10):
        (images / str(label)).mkdir(parents=True)
        Image.new("RGB", (32, 32), (label, 0, 0)).save(images / str(label) / "one.png")
    make = engine.make

    def move_first(*arguments: Any, **named: Any) -> Any:
        images.rename(tmp_path / "moved")
        return make(*arguments, **named)

    monkeypatch.setattr("pcbench.harness.engines.ray.make", move_first)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError) as lost:
        measure("other", data="imagefolder:images", images=None)
    assert f"a worker cannot begin on node {socket.gethostname()} (" in str(lost.value)
    assert str(images) in str(lost.value)


# The last one: it takes a node away.
def test_a_node_that_is_killed_and_a_model_of_the_driver_alone_make_the_same_bytes(
    home: Place,
    cluster: Any,
    measure: Measure,
    whole: Mapping[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[float],
) -> None:
    # What a run of one worker here has left is done by the cluster.
    home.tell(raises=numbers[0])
    with pytest.raises(RunError):
        measure(engine="local")
    for path in parts(tmp_path)[::2]:
        path.unlink()
    home.tell(seconds=0.2)
    left = UNITS + 1 - len(parts(tmp_path))
    monkeypatch.setattr(engine, "_SECONDS_OF_SILENCE", 4.0)
    move_elsewhere(home, monkeypatch)
    node = next(iter(cluster.worker_nodes))
    done = engine.report_unit
    settled: list[str] = []

    def note(unit: Any, *others: Any) -> None:
        settled.append(unit.path)
        if len(settled) == left // 3:
            cluster.remove_node(node, allow_graceful=False)
        done(unit, *others)

    monkeypatch.setattr(engine, "report_unit", note)
    made = measure()
    assert len(settled) >= left // 2
    assert len(set(settled)) == len(settled)
    assert is_whole("one process, then Ray, a node killed", made.folder, whole)


def test_every_way_has_the_same_hash(whole: Mapping[str, bytes], measure: Measure, tmp_path: Path) -> None:
    from pcbench.harness.merge import merge

    assert is_whole("two processes", measure("two", engine="local", workers=2).folder, whole)
    for number in range(1, 5):
        measure("shards", engine="local", shard=f"{number}/4")
    merge([tmp_path / "shards"], tmp_path / "merged")
    assert is_whole("four shards, merged", tmp_path / "merged", whole)
    assert is_whole("Ray, one node is left", measure("left").folder, whole)
    for way, found in WAYS.items():
        print(f"{found}  {way}")
    assert len(set(WAYS.values())) == 1


def test_objects_are_refused_in_one_line(shared_suites: tuple[Path, Path], tmp_path: Path) -> None:
    data = [torch.zeros(3, 32, 32)], [0]
    with pytest.raises(UsageError) as refused:
        run("pdigits", [str(shared_suites[0])], data=data, engine="ray", out=tmp_path / "run", progress=False)
    assert "engine='local'" in str(refused.value)
    assert "imagefolder:PATH" in str(refused.value)
    assert "\n" not in str(refused.value)
