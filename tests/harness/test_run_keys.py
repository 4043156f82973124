"""Oracle: what can change a number and what cannot, case by case: a library's version in its installed metadata, the
place of a file, a word in a suite."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pcbench
from pcbench import distributions
from pcbench.attacks import libraries
from pcbench.catalog import catalog_folder
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.models.zoo import zoo_entry
from pcbench.results.run_spec import RunSpec


def planned(*suites: Path | str, **options: Any) -> RunSpec:
    """What a run would be, without running it."""
    settings: dict[str, Any] = {"model": "pdigits", "images": 4, "timesteps": 1, **options}
    return make_plan(request_from({"suites": tuple(str(suite) for suite in suites), **settings})).spec


def installed(site: Path, name: str, version: str) -> None:
    """Install an empty library, or another version of it."""
    for old in site.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    (site / name).mkdir(exist_ok=True)
    (site / name / "__init__.py").touch()
    information = site / f"{name}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (information / "top_level.txt").write_text(f"{name}\n")
    importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed libraries, which this process imports from."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder), str(tmp_path)])
    return folder


def pretending(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Let a library be of another version."""
    real = distributions.version_of
    monkeypatch.setattr(distributions, "version_of", lambda name: "0.0.0" if name == library else real(name))


Ask = Callable[[Path, Path], RunSpec]

FROST: Ask = lambda *_: planned("cifar-10-c", data="digits")  # noqa: E731
CORRUPTIONS: Ask = lambda corruptions, _: planned(corruptions)  # noqa: E731
REFERENCE: Ask = lambda corruptions, _: planned(corruptions, backend="reference")  # noqa: E731
ATTACKS: Ask = lambda _, attacks: planned(attacks, checks=False)  # noqa: E731
CHECKED: Ask = lambda _, attacks: planned(attacks, checks=True)  # noqa: E731
AUTOATTACK: Ask = lambda *_: planned("autoattack", checks=False)  # noqa: E731


as_it_is = cache(lambda ask, *suites: ask(*suites))


@pytest.mark.parametrize(
    ("library", "ask", "counts"),
    [
        ("torch", CORRUPTIONS, True),
        ("numpy", CORRUPTIONS, True),
        # These two are imported inside functions.
        ("scipy", CORRUPTIONS, True),
        ("pandas", ATTACKS, True),
        ("foolbox", CORRUPTIONS, False),
        ("timm", CORRUPTIONS, False),
        ("matplotlib", CORRUPTIONS, False),
        ("imagecorruptions", CORRUPTIONS, False),
        ("imagecorruptions", REFERENCE, True),
        ("imagecorruptions", FROST, True),
        ("scikit-image", REFERENCE, True),
        ("foolbox", ATTACKS, True),
        ("pyautoattack", ATTACKS, False),
        ("pyautoattack", CHECKED, True),
        ("pyautoattack", AUTOATTACK, True),
    ],
)
def test_the_key_holds_the_versions_of_the_libraries_that_the_run_uses(
    library: str, ask: Ask, counts: bool, shared_suites: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = as_it_is(ask, *shared_suites)
    pretending(monkeypatch, library)
    after = ask(*shared_suites)
    assert (after.key() != before.key()) is counts
    assert (after.versions.get(library) == "0.0.0") is counts


@pytest.mark.parametrize("late", [False, True], ids=["at-import", "late"])
def test_an_attack_librarys_version_counts_where_an_attack_uses_it(
    late: bool, site: Path, attack_suite: Path, corruption_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torchattacks' adapter imports its library only when an attack is made; the new adapter at once.
    library = "torchattacks" if late else "library_of_attacks_z"
    if not late:
        adapter_added(monkeypatch, site.parent, library)
    path = attack_suite / "pgd.toml"
    with_it, without = attack_suite.parent / "with_it", attack_suite
    shutil.copytree(attack_suite, with_it)
    (with_it / "suite.toml").write_text((attack_suite / "suite.toml").read_text().replace('"small"', '"with_it"'))
    (with_it / "pgd.toml").write_text(path.read_text().replace('library = "foolbox"', f'library = "{library}"'))
    keys: dict[str, list[str]] = {}
    for version in ("1.0", "1.1"):
        installed(site, library, version)
        for what, spec in {
            "with it": planned(with_it, checks=False),
            "both": planned(without, with_it, checks=False),
            "without": planned(without, checks=False),
            "corruptions": planned(corruption_suite),
        }.items():
            keys.setdefault(what, []).append(spec.key())
            assert spec.versions.get(library.replace("_", "-")) == (version if what in ("with it", "both") else None)
    assert {what for what, (one, other) in keys.items() if one != other} == {"with it", "both"}
    assert "pcbench.attacks.libraries.library_of_attacks_z" not in sys.modules


def adapter_added(monkeypatch: pytest.MonkeyPatch, folder: Path, library: str) -> None:
    """Add the adapter of a library: a module with its name, and nothing else."""
    adapters = folder / "adapters"
    adapters.mkdir()
    (adapters / f"{library}.py").write_text(f"from {library} import attack\n")
    monkeypatch.setattr(libraries, "__path__", [*libraries.__path__, str(adapters)])


def test_the_code_of_an_attack_library_that_is_not_installed_counts(
    site: Path, attack_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As under an editable installation: the sources lie in a folder of the user's.
    adapter_added(monkeypatch, site.parent, "local_attacks_z")
    for path in attack_suite.glob("*.toml"):
        path.write_text(path.read_text().replace('library = "foolbox"', 'library = "local_attacks_z"'))
    package = site.parent / "local_attacks_z"
    package.mkdir()
    (package / "__init__.py").write_text("from local_attacks_z.steps import steps\n")
    keys: list[str] = []
    for code in ("steps = 1\n", "steps = 2\n", "# The same\nsteps = 2\n"):
        (package / "steps.py").write_text(code)
        importlib.invalidate_caches()
        keys.append(planned(attack_suite, checks=False).key())
    assert keys[0] != keys[1] == keys[2]


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_words_in_a_suite_are_no_part_of_the_key(corruption_suite: Path, attack_suite: Path, tmp_path: Path) -> None:
    suites = [str(corruption_suite), str(attack_suite)]

    def measured() -> Any:
        settings: dict[str, Any] = {"images": 4, "timesteps": 0, "checks": False, "progress": False}
        return pcbench.run("pdigits", suites, out=tmp_path / "X", **settings)

    first = measured()
    for folder in (corruption_suite, attack_suite):
        edited(folder / "suite.toml", 'title = "', 'title = "Another ')
        edited(folder / "suite.toml", 'source = "', '# A remark.\nsource = "somebody, ')
    edited(corruption_suite / "contrast.toml", 'title = "Contrast"', 'title = "Less contrast"  # a remark')
    edited(attack_suite / "pgd.toml", 'title = "PGD"', 'title = "A descent"  # a remark')
    again = measured()
    assert again.found
    assert again.key == first.key


@pytest.mark.parametrize(
    ("suite", "file", "old", "new"),
    [
        ("corruptions", "contrast", "0.5", "0.6"),
        ("corruptions", "contrast", 'function = "contrast"', 'function = "brightness"'),
        ("attacks", "pgd", "steps = 4", "steps = 5"),
        ("attacks", "pgd", "random_start = true", "random_start = false"),
        ("attacks", "fgsm", '"32/255"', '"33/255"'),
        ("attacks", "suite", 'version = "1"', 'version = "1"\nimages = "correct_at_every_timestep"'),
    ],
)
def test_a_parameter_of_a_suite_is_part_of_the_key(
    suite: str, file: str, old: str, new: str, corruption_suite: Path, attack_suite: Path
) -> None:
    folder = corruption_suite if suite == "corruptions" else attack_suite
    before = planned(folder, checks=False)
    if "brightness" in new:
        (folder / f"{file}.toml").write_text(
            (catalog_folder("corruptions") / "digits-c" / "brightness.toml").read_text()
        )
    else:
        edited(folder / f"{file}.toml", old, new)
    assert planned(folder, checks=False).key() != before.key()


def test_the_place_of_images_weights_and_suites_is_no_part_of_the_key(corruption_suite: Path, tmp_path: Path) -> None:
    digits = open_source("digits", preprocessing=Preprocessing(), split="test").take(20)
    pixels = digits.load(range(20)).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    here, there = tmp_path / "here", tmp_path / "somewhere" / "else"
    for number, label in enumerate(digits.labels.tolist()):
        (here / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(here / "images" / str(label) / f"{number}.png")
    for label in range(10):
        (here / "images" / str(label)).mkdir(exist_ok=True)
    weights = zoo_entry("pdigits").weights_path
    assert weights is not None
    shutil.copy(weights, here / "weights.safetensors")

    def key(images: Path, given: Path, suites: Path) -> str:
        return planned(suites, data=f"imagefolder:{images}", weights=given, images=None).key()

    before = key(here / "images", here / "weights.safetensors", corruption_suite)
    there.mkdir(parents=True)
    pictures = (here / "images").rename(there / "pictures")
    copied = shutil.copy(here / "weights.safetensors", there / "copy.safetensors")
    moved = tmp_path / "elsewhere" / "corruptions" / corruption_suite.name
    shutil.copytree(corruption_suite, moved)
    assert key(pictures, copied, moved) == before
    changed = next(pictures.rglob("*.png"))
    Image.fromarray(255 - np.asarray(Image.open(changed))).save(changed)
    assert key(pictures, copied, moved) != before
