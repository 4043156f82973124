"""Oracle: every byte of the files that a run publishes, also what is packed in them, searched for telling names."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
from PIL import Image
from small_network import configuration

import pcbench
from pcbench.catalog import SuiteKind, catalog_folder
from pcbench.comparison.reference import freeze, write_reference
from pcbench.harness.origin import without_places
from pcbench.harness.request import request_from
from pcbench.reports.export import EXPORT_FORMATS, export_run
from pcbench.results.directory import LOCATIONS, Run, open_run

FOLDER, USER, HOST = "jane-doe-secret-folder", "jane_doe_77", "host-of-jane-doe"
TELLING = re.compile(rb"jane.?doe|secret.?folder", re.IGNORECASE)
NETWORK = """
from pathlib import Path

from torch import nn

import small_network


class Own(nn.Module):
    input_size = (3, 16, 16)

    def __init__(self):
        super().__init__()
        self.layers = small_network.backbone()

    def forward(self, images):
        for image in images:
            if 0 < image.std() < 0.05:
                raise FileNotFoundError(2, "no such file", str(Path(__file__).parent / "cache of layers" / "a.bin"))
        return self.layers(images)


def failing():
    return Own()


def make():
    return small_network.backbone()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with pictures, suites, a network and its weights; it is the home and the working folder, too."""
    home = tmp_path / FOLDER
    (home / "code").mkdir(parents=True)
    (home / "code" / "own_network_of_a_user.py").write_text(NETWORK)
    generator = np.random.default_rng(0)
    for number in range(12):
        path = home / "pictures" / str(number % 10) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    whole = (home / "pictures" / "1" / "11.png").read_bytes()
    (home / "pictures" / "1" / "11.png").write_bytes(whole[:60])
    shipped: tuple[tuple[SuiteKind, str, str], ...] = (
        ("corruptions", "digits-c", "contrast"),
        ("attacks", "digits-linf", "bim"),
    )
    for kind, name, definition in shipped:
        suite = home / kind / f"own-{kind}"
        suite.mkdir(parents=True)
        shutil.copy(catalog_folder(kind) / name / f"{definition}.toml", suite)
        (suite / "suite.toml").write_text('version = 1\ntitle = "Own"\nsource = "this test"\n')
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setenv("HOSTNAME", HOST)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setattr("platform.node", lambda: HOST)
    monkeypatch.syspath_prepend(str(home / "code"))
    monkeypatch.chdir(home)
    return home


def run_of(home: Path, **options: object) -> Run:
    """Run the user's network on the user's suites and pictures; images without contrast make it fail."""
    return pcbench.run(
        **{
            "suites": [str(home / "corruptions" / "own-corruptions"), str(home / "attacks" / "own-attacks")],
            "data": f"imagefolder:{home / 'pictures'}",
            "epsilons": ["4/255"],
            "threads": 1,
            "workers": 1,
            "skip_damaged": True,
            "allow_missing": True,
            "checks": True,
            "save_adversarials": True,
            "progress": False,
            **options,
        }
    )


def published(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCATIONS]


def contents(path: Path) -> Iterator[bytes]:
    """Yield a file's name and bytes, and what is packed in it: tables, archives, texts in pictures, PDF, pages."""
    whole = path.read_bytes()
    yield path.name.encode()
    yield whole
    yield whole.replace(b"\0", b"")  # UTF-16
    match path.suffix:
        case ".parquet":
            yield from _table(pq.ParquetFile(path).read())
        case ".npz":
            yield from _archive(path)
        case ".png":
            with Image.open(path) as picture:
                yield json.dumps(picture.info, default=str).encode()
        case ".pdf":
            yield from (_inflated(part) for part in whole.split(b"stream\n")[1:])
        case ".html":
            yield from map(base64.b64decode, re.findall(rb'"data:image/png;base64,([A-Za-z0-9+/=]+)"', whole))
        case _:
            if whole[:4] in (b"ARR1", b"PAR1"):
                yield from _table(pq.ParquetFile(path).read())


def _table(table: pa.Table) -> Iterator[bytes]:
    yield repr(table.schema.metadata).encode()
    yield table.schema.to_string(show_schema_metadata=True, truncate_metadata=False).encode()
    for column in table.columns:
        yield repr(column.to_pylist()).encode()


def _archive(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield name.encode()
            yield archive.read(name)
            yield archive.read(name).replace(b"\0", b"")


def _inflated(part: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(part)
    except zlib.error:
        return b""


def telling(folder: Path) -> list[str]:
    """Return the published files that hold a telling name, with what stands around it."""
    return [
        f"{path.relative_to(folder)}: {content[max(found.start() - 60, 0) : found.end() + 60]!r}"
        for path in published(folder)
        for content in contents(path)
        for found in [TELLING.search(content)]
        if found
    ]


@pytest.mark.with_pictures
@pytest.mark.usefixtures("few_rivals", "two_figures")
def test_no_published_file_names_a_folder_a_user_or_a_host(home: Path, tmp_path: Path) -> None:
    run = run_of(home, model="own_network_of_a_user:failing", timesteps=0, out="made here", figures="all")
    assert run.missing
    assert any("a.bin" in entry["reason"] for entry in run.missing)
    assert any(note.startswith("LEFT OUT") for note in run.manifest["notes"])
    kinds = {path.suffix for path in published(run.folder)}
    assert kinds >= {".json", ".parquet", ".csv", ".png", ".svg", ".pdf", ".html", ".safetensors"}
    assert TELLING.search((run.folder / LOCATIONS).read_bytes())
    assert telling(run.folder) == []

    moved = tmp_path / "elsewhere"
    shutil.copytree(run.folder, moved / "run", ignore=shutil.ignore_patterns(LOCATIONS))
    there = open_run(moved / "run")
    for format_name in EXPORT_FORMATS:
        export_run(there, format_name, moved / format_name)
    write_reference(freeze(there), moved / "reference.npz")
    assert telling(moved) == []


REASONS = [
    ("/home/jane-doe/pictures/a.png: is damaged; 8/255", "a.png: is damaged; 8/255"),
    ("no 'imagefolder:/data/jane-doe/x y/z.png'", "no 'imagefolder:z.png'"),
    ("cannot read file:///home/jane-doe/a.bin, at ε = 8/255", "cannot read a.bin, at ε = 8/255"),
    ("in C:\\Users\\jane-doe\\a.bin", "in a.bin"),
    ('~/jane-doe/a and "/mnt/jane-doe/b c.bin"', '~a and "b c.bin"'),
    ("no space on host-of-jane-doe for jane_doe_77", "no space on <host> for <user>"),
    ("0/11.png is damaged (on node host-of-jane-doe (10.1.2.3))", "0/11.png is damaged (on another node)"),
    ("../jane-doe/data/0/1.png: is damaged", "0/1.png: is damaged"),
    ("as 3/4 of 20 images/s / worker", "as 3/4 of 20 images/s / worker"),
]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("reason", "told"), REASONS)
def test_a_reason_is_published_without_folders_user_and_host(reason: str, told: str) -> None:
    assert without_places(reason, request_from({"data": "imagefolder:../jane-doe/data"})) == told


def test_neither_do_shards_and_the_run_of_them(home: Path) -> None:
    (home / "code" / "own.toml").write_text(tomli_w.dumps(configuration()))
    model = {"model": f"{home / 'code' / 'own.toml'}@own_network_of_a_user:make", "random_predictors": 0}
    for number in (1, 2):
        run_of(home, **model, timesteps=1, out="shards", shard=f"{number}/2", checks=False)
    merged = pcbench.merge("shards", "merged")
    assert telling(home / "shards") == []
    assert telling(merged.folder) == []
