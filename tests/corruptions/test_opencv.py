"""Oracles: the words of the failed import; the import statements of every module of the package."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pcbench
from pcbench.errors import LibraryError


def test_an_opencv_that_cannot_be_loaded_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in the place of a module is how Python itself marks one that must not be imported.
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "pcbench.corruptions.opencv", raising=False)
    with pytest.raises(LibraryError, match=r"import of cv2 halted.*pip install opencv-python-headless") as caught:
        import_module("pcbench.corruptions.opencv")
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.exit_code == 2


def test_opencv_is_imported_in_one_place() -> None:
    package = Path(pcbench.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Try) and "cv2" in _imported(node)
    }
    assert found == {"corruptions/opencv.py"}


def _imported(statement: ast.stmt) -> set[str]:
    nodes = list(ast.walk(statement))
    plain = {name.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
