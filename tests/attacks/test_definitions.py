"""Oracle: the shipped TOML files, and what their suites promise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pcbench.attacks.definitions import load_attack_suite
from pcbench.catalog import catalog_folder, suite_names
from pcbench.errors import DefinitionError, UnknownNameError

SHIPPED = catalog_folder("attacks")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "digits-linf", tmp_path / "attacks" / "digits-linf"))


def test_the_shipped_suites_load() -> None:
    for name in suite_names("attacks"):
        assert load_attack_suite(SHIPPED / name).name == name


def test_digits_linf_is_what_issue_2_asks_for() -> None:
    attacks = {attack.name: attack for attack in load_attack_suite(SHIPPED / "digits-linf").attacks}
    assert sorted(attacks) == ["bim", "fgsm", "pgd"]
    assert attacks["pgd"].steps == 20
    for attack in attacks.values():
        assert len(attack.epsilons) >= 8
        assert (attack.steps or 0) * (attack.relative_step_size or 0) >= 1


def test_a_new_file_adds_an_attack(suite: Path) -> None:
    text = (suite / "pgd.toml").read_text(encoding="utf-8")
    (suite / "pgd_50.toml").write_text(text.replace("steps = 20", "steps = 50"), encoding="utf-8")
    assert load_attack_suite(suite).attack("pgd_50").steps == 50


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("steps = 20", "stepz = 20", "did you mean 'steps'"),
        ('"8/255"', '"two"', "'two'"),
        ('"8/255"', '"-2/255"', "at least 0"),
        ('"8/255"', "2", "at most 1"),
        ('"8/255"', '"4/255"', "ascending"),
        ("steps = 20", "steps = 5", "cannot reach the edge"),
        ("steps = 20", 'steps = "20"', "steps"),
        ("random_start = true", "targeted = true", "goes with one of"),
        ("random_start = true", 'name = "other"', "named by its file"),
        ('norm = "linf"', "", "'norm' is missing"),
        ('norm = "linf"', 'norm = "l3"', "norm"),
        ('norm = "linf"', "norm = ", "not valid TOML"),
    ],
)
def test_a_broken_definition_is_refused_in_one_line(suite: Path, old: str, new: str, problem: str) -> None:
    path = suite / "pgd.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DefinitionError, match=problem) as caught:
        load_attack_suite(suite)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_needs_a_header_its_own_name_and_an_attack(suite: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pgd'"):
        load_attack_suite(suite).attack("pgdd")
    header = suite / "suite.toml"
    header.write_text(f'name = "{suite.name}"\n' + header.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DefinitionError, match="in the folder"):
        load_attack_suite(suite.rename(suite.with_name("other")))
    for path in suite.with_name("other").glob("[!s]*.toml"):
        path.unlink()
    header = suite.with_name("other") / "suite.toml"
    header.write_text(header.read_text(encoding="utf-8").replace(suite.name, "other"), encoding="utf-8")
    with pytest.raises(DefinitionError, match="holds no attack"):
        load_attack_suite(header.parent)
    header.unlink()
    with pytest.raises(DefinitionError, match="no such file"):
        load_attack_suite(header.parent)


def test_former_headers_are_read_as_they_were_written(suite: Path) -> None:
    # Oracle: the same header in today's words.
    header = suite / "suite.toml"
    rest = '\ntitle = "t"\nsource = "s"\n[network]\nfeedforward = 0.8\nfeedback = 0.1\n'
    header.write_text("version = 1" + rest + "error_weight = 0.01\n", encoding="utf-8")
    now = load_attack_suite(suite)
    header.write_text(f'name = "{suite.name}"\nversion = "1"' + rest + "error = 0.01\n", encoding="utf-8")
    assert load_attack_suite(suite) == now
    assert now.network is not None
    assert now.network.error_weight == 0.01
    header.write_text("version = 0" + rest, encoding="utf-8")
    with pytest.raises(DefinitionError, match="whole number from 1"):
        load_attack_suite(suite)
