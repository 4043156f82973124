"""Oracle: distributions that lie in folders made here, and those that the environment is known to hold."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from pcbench.distributions import distributions


def test_distributions_have_their_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "site-packages"), *sys.path])
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "alone_x.py").write_text("raise RuntimeError")
    (tmp_path / "site-packages/library_x.py").write_text("")
    importlib.invalidate_caches()
    found = distributions(["skimage.filters", "PIL", "json", "pcbench.errors", "alone_x", "nowhere_x", "library_x"])
    assert set(found) == {"scikit-image", "pillow", "library-x"}
    assert found["library-x"] == "unknown"


def test_a_folder_that_gets_distributions_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    site.mkdir()
    (site / "late_x.py").write_text("")
    assert distributions(["late_x"]) == {"late-x": "unknown"}
    (site / "Late_X-2.0.dist-info").mkdir()
    (site / "Late_X-2.0.dist-info" / "METADATA").write_text("Name: Late_X\nVersion: 2.0\n")
    (site / "Late_X-2.0.dist-info" / "top_level.txt").write_text("late_x\n")
    importlib.invalidate_caches()
    assert distributions(["late_x"]) == {"late-x": "2.0"}
