"""Oracle: packages as pip leaves them on a disk, whose modules show whether they were imported; importlib.metadata."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
from made_plugins import install_plugins

from pcbench.errors import UsageError
from pcbench.plugins import PLUGIN_GROUPS, find_plugin, plugins


def test_a_plugin_is_listed_without_its_import_and_loaded_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"models": {"mynet": "listed_later:make.net"}, "data": {"mydata": "listed_later:data"}}
    source = "class make:\n    net = 'the network'\ndata = 'the data'\n"
    install_plugins(tmp_path, monkeypatch, entries, sources={"listed_later": source})
    assert list(plugins("models")) == ["mynet"]
    found = plugins("models")["mynet"]
    assert found.told == "plug-in of mypackage 1.5 (listed_later:make.net)"
    assert "listed_later" not in sys.modules
    assert found.load() == "the network"
    assert find_plugin("data", "mydata").load() == "the data"
    assert find_plugin("attacks", "mydata") is None
    # Python's own reader finds the same.
    stated = {one.name: one.value for one in metadata.entry_points(group="pcbench.models")}
    assert stated == {name: one.target for name, one in plugins("models").items()}


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("gone", "no_such_module_anywhere:net", "there is no module 'no_such_module_anywhere'"),
        ("formless", "just a text", "not of the form module:object"),
        ("robust:net", "listed_broken:net", "its name may hold"),
    ],
)
def test_what_is_seen_to_be_broken_is_told_where_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, target: str, says: str
) -> None:
    entries = {"suites": {name: target, "good": "listed_broken:net"}}
    install_plugins(tmp_path, monkeypatch, entries, sources={"listed_broken": "net = 1\n"})
    found = plugins("suites")
    assert found["good"].fault is None
    assert says in found[name].told
    assert found[name].told.startswith("BROKEN plug-in of mypackage 1.5")
    with pytest.raises(UsageError, match="pip uninstall mypackage") as caught:
        found[name].load()
    assert says in str(caught.value)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("other = 1", "has no attribute 'net'"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_what_fails_when_it_is_imported_is_one_line_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, says: str
) -> None:
    monkeypatch.delitem(sys.modules, "failing_plugin", raising=False)
    entries = {"attacks": {"mine": "failing_plugin:net"}}
    install_plugins(tmp_path, monkeypatch, entries, sources={"failing_plugin": source})
    with pytest.raises(UsageError, match="'mine' in attacks is a plug-in of mypackage") as caught:
        plugins("attacks")["mine"].load()
    assert says in str(caught.value)


def test_two_packages_with_one_name_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("first", "second"):
        install_plugins(tmp_path, monkeypatch, {"data": {"same": "json:loads"}}, package=package)
    with pytest.raises(UsageError, match="remove one of the two") as caught:
        plugins("data")["same"].load()
    assert {word for word in ("first 1.5", "second 1.5") if word in str(caught.value)} == {"first 1.5", "second 1.5"}


def test_without_other_packages_there_are_none() -> None:
    assert {group: plugins(group) for group in PLUGIN_GROUPS} == {group: {} for group in PLUGIN_GROUPS}
