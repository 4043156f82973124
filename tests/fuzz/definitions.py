"""Readers of what people write by hand: suites, networks, studies, options, lists of names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import tomli_w
from fuzz.trial import Reader
from small_network import backbone, configuration

import pcbench
from pcbench.catalog import catalog_folder, load_definition
from pcbench.harness.configuration import _locations
from pcbench.harness.request import RunOptions
from pcbench.harness.suites import read_definition
from pcbench.models.zoo import ZooEntry
from pcbench.network.configuration import read_configuration
from pcbench.options import read_config
from pcbench.studies.study_file import read_study
from pcbench.training.options import TrainOptions, TuneOptions

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(pcbench.__file__).parent
RUN = {"model": "pdigits", "suites": ["digits-c"], "images": 100, "epsilons": ["8/255"], "threads": 2, "checks": True}
LOCATIONS = {"host": "here", "options": {"out": "/somewhere", "data": "imagefolder:/images", "model": "pdigits"}}


def _suites(folder: Path) -> None:
    for kind, name in (("attacks", "digits-linf"), ("attacks", "predify2021"), ("corruptions", "digits-c")):
        shutil.copytree(catalog_folder(kind) / name, folder / kind / name)
    for kind, name in (("attacks", "small"), ("corruptions", "two")):
        shutil.copytree(ROOT / "tests" / "former" / kind / name, folder / kind / name)


def _read_attacks(folder: Path) -> None:
    for suite in ("digits-linf", "predify2021", "small"):
        read_definition("attacks", folder / "attacks" / suite).identity()


def _read_corruptions(folder: Path) -> None:
    for suite in ("digits-c", "two"):
        read_definition("corruptions", folder / "corruptions" / suite).identity()


def _networks(folder: Path) -> None:
    folder.mkdir()
    for path in (PACKAGE / "models" / "configurations").glob("*.toml"):
        shutil.copy(path, folder)
    text = tomli_w.dumps(configuration())
    for number in range(8):  # as likely as the others together
        (folder / f"small{number}.toml").write_text(text, encoding="utf-8")


def _read_networks(folder: Path) -> None:
    for path in folder.glob("*.toml"):
        if not path.name.startswith("small"):
            read_configuration(path)
    changed = [
        path for path in folder.glob("small*.toml") if path.read_bytes() != tomli_w.dumps(configuration()).encode()
    ]
    for path in changed:
        pcbench.predify(backbone(), path)


def _tables(folder: Path) -> None:
    folder.mkdir()
    (folder / "run.toml").write_text(tomli_w.dumps(RUN), encoding="utf-8")
    (folder / "train.toml").write_text(
        tomli_w.dumps({"model": "pdigits", "seed": 1, "epochs": 2, "learning_rate": 0.1}), encoding="utf-8"
    )
    (folder / "tune.toml").write_text(tomli_w.dumps({"model": "pdigits", "seed": 4}), encoding="utf-8")
    (folder / "locations.toml").write_text(tomli_w.dumps(LOCATIONS), encoding="utf-8")
    shutil.copy(ROOT / "studies" / "pdigits.toml", folder / "study.toml")
    shutil.copy(PACKAGE / "models" / "zoo" / "pdigits.toml", folder / "zoo.toml")


def _read_tables(folder: Path) -> None:
    for name, options in (("run", RunOptions), ("train", TrainOptions), ("tune", TuneOptions)):
        read_config(options, folder / f"{name}.toml")
    json.dumps(_locations(folder / "locations.toml"), default=str)
    read_study(folder / "study.toml")
    load_definition(ZooEntry, folder / "zoo.toml")


READERS = [
    Reader("suites of attacks (TOML)", _suites, "attacks/*/*.toml", _read_attacks, weight=2),
    Reader("suites of corruptions (TOML)", _suites, "corruptions/*/*.toml", _read_corruptions, weight=2),
    Reader("networks (TOML)", _networks, "*.toml", _read_networks, weight=2),
    Reader("options, studies, locations (TOML)", _tables, "*.toml", _read_tables, weight=2),
]
