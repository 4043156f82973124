"""Oracle: the lists of installed distributions, as a test pretends them to be."""

from __future__ import annotations

import pytest

from pcbench import extras
from pcbench.errors import MissingExtraError, UsageError


def pretend(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda library: library in installed)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"pip install 'pcbench\[torchattacks\]'"):
        extras.require("torchattacks")


@pytest.mark.parametrize("library", ["torchattacks", "robustbench"])
def test_both_at_once_are_refused(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    pretend(monkeypatch, "torchattacks", "robustbench")
    with pytest.raises(UsageError, match="fresh environment"):
        extras.require(library)


def test_what_is_installed_is_known() -> None:
    assert extras.is_installed("foolbox")
    assert not extras.is_installed("no-such-distribution")
