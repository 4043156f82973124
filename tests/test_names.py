"""Oracle: a list of names made by hand, and the rules of file systems: what is the same, and what a device."""

from __future__ import annotations

import itertools

import pytest

from pcbench.catalog import catalog_folder
from pcbench.names import fault_among, file_name, why_not


@pytest.mark.parametrize("name", ["digits-c", "fog", "pgd_mean", "linf", "l2", "CIFAR-10-C", "v1.2", "a+b"])
def test_names_of_the_field_are_allowed(name: str) -> None:
    assert why_not(name) is None


def test_every_name_of_the_catalogue_is_allowed_and_its_own_file_name() -> None:
    paths = [path for kind in ("attacks", "corruptions") for path in catalog_folder(kind).glob("*/*.toml")]
    names = {path.stem for path in paths} | {path.parent.name for path in paths}
    assert len(names) > 40
    assert {name for name in names if why_not(name) is not None or file_name(name) != name} == set()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "a..b", "a.", "a b", "é", "x\0", "x\n", "-x", "~", "C:x",
     "con", "NUL.txt", "Lpt9", "a" * 101],
)  # fmt: skip
def test_what_leads_out_of_a_folder_or_is_not_a_name_everywhere_is_refused(name: str) -> None:
    assert why_not(name) is not None


def test_names_that_some_file_systems_do_not_tell_apart_are_refused() -> None:
    assert fault_among(["fog", None, "snow", "fog"]) is None
    assert "'fog' and 'FOG'" in (fault_among(["fog", "FOG"]) or "")


def test_free_text_gets_a_name_of_its_own_that_stays_where_it_is_put() -> None:
    texts = ["../../evil", "..", ".", "", "hf:Owner/Repo@main", "hf:owner/repo@main", "net.toml@own:make", "CON", "con",
             "a" * 300, "a" * 301, "VGG16", "vgg16", "./vgg16", "x\0y", "\ud800", "네트워크", "네트워크2"]  # fmt: skip
    names = [file_name(text) for text in texts]
    assert len({name.lower() for name in names}) == len(texts)
    for name in names:
        assert why_not(name) is None
        assert len(name.encode()) <= 100
    assert file_name("pdigits") == "pdigits"
    assert file_name("hf:owner/repo@main").startswith("hf-owner-repo-main-")


def test_no_two_short_texts_meet() -> None:
    texts = ["".join(letters) for letters in itertools.product("aA./", repeat=4)]
    assert len({file_name(text).lower() for text in texts}) == len(texts)
