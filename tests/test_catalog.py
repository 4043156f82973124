"""Oracle: the TOML files that each test writes; what a definition may hold is stated by the class in this file."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path

import pytest

from pcbench import catalog
from pcbench.catalog import Definition, load_definition, suite_folder, suite_names
from pcbench.errors import DefinitionError, UnknownNameError, UsageError
from pcbench.models.zoo import zoo_names


class Recipe(Definition):
    name: str
    steps: tuple[int, ...]
    title: str = ""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_a_definition_is_what_its_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "soup"\nsteps = [1, 2]\n')
    assert load_definition(Recipe, path) == Recipe(name="soup", steps=(1, 2))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "soup"\nsteps = [1]\ntitel = "x"\n', "did you mean 'title'?"),
        ('name = "soup"\n', "the key 'steps' is missing"),
        ('name = "soup"\nsteps = ["one"]\n', "steps.0"),
        ('name = "soup"\nsteps = [1.5]\n', "steps.0"),
        ('name = "soup\n', "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DefinitionError) as raised:
        load_definition(Recipe, path)
    assert str(raised.value).startswith(str(path))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no such file"):
        load_definition(Recipe, tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DefinitionError, match="not a text file"):
        load_definition(Recipe, tmp_path / "binary.toml")


def test_an_unknown_suite_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits-c'"):
        suite_folder("digit-c")


def test_a_suite_of_the_users_own_is_found_by_its_folder(tmp_path: Path) -> None:
    own = tmp_path / "corruptions" / "mine"
    own.mkdir(parents=True)
    with pytest.raises(DefinitionError, match=r"suite\.toml"):
        suite_folder(str(own))
    (own / "suite.toml").write_text("")
    assert suite_folder(str(own)) == ("corruptions", own.resolve())


def test_the_installed_catalogue_goes_before_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_PACKAGE", tmp_path / "pcbench")
    (tmp_path / "pcbench").mkdir()
    assert catalog.catalog_folder("attacks") == tmp_path / "attacks"
    (tmp_path / "pcbench" / "_catalog" / "attacks").mkdir(parents=True)
    assert catalog.catalog_folder("attacks") == tmp_path / "pcbench" / "_catalog" / "attacks"


def test_from_a_zip_pcbench_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Oracle: Python's own importer, which gives modules in an archive a path through it.
    with zipfile.ZipFile(tmp_path / "pcbench.zip", "w") as archive:
        archive.writestr("zipped.py", "from pathlib import Path\nFOLDER = Path(__file__).resolve().parent\n")
    monkeypatch.syspath_prepend(str(tmp_path / "pcbench.zip"))
    monkeypatch.setattr(catalog, "_PACKAGE", importlib.import_module("zipped").FOLDER)
    for asked in (lambda: suite_names("attacks"), zoo_names):
        with pytest.raises(UsageError, match=r"pcbench\.zip is in a zip.*install it with pip"):
            asked()
