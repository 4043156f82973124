"""Oracle: Python itself: what its import statement binds, and which edits of a source leave a program the same."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import pytest

from pcbench.source_code import (
    class_definition,
    global_names,
    imported_modules,
    kind_of,
    normalised,
    reached,
    read_source,
    source_path,
)

SOURCE = '''
"""A module."""
import numpy

class Layer:
    """A layer."""

    def forward(self, x):
        """Double it."""
        return 2 * x  # twice
'''


def test_docstrings_comments_and_layout_change_nothing() -> None:
    edited = SOURCE.replace("Double it.", "Twice.").replace("# twice", "#  2x").replace("A module.", "Mine.")
    assert normalised(edited) == normalised(SOURCE)
    assert normalised(edited.replace('    """A layer."""\n', "").replace("2 * x", "(2  *  x)")) == normalised(SOURCE)


def test_a_docstring_under_a_field_changes_nothing() -> None:
    plain = "class Size:\n    width: int = 1\n    height: int = 2\n"
    documented = plain.replace("= 1\n", '= 1\n    """In pixels."""\n')
    assert normalised(documented) == normalised(plain)
    assert normalised(documented.replace('"""In pixels."""', 'unit: str = "pixels"')) != normalised(plain)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * x", "2.0 * x"),
        ("2 * x", "True * x"),
        ("2 * x", "2 + x"),
        ("2 * x", "x * 2"),
        ("self, x", "self, x, *y"),
        ("forward", "backward"),
        ("import numpy", "import numpy as np"),
        ("return 2 * x", "return '''text'''"),
        ("return 2 * x", "2 * x"),
        ("class Layer:", "class Layer(dict):"),
    ],
)
def test_every_other_edit_changes_it(old: str, new: str) -> None:
    assert old in SOURCE
    assert normalised(SOURCE.replace(old, new)) != normalised(SOURCE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f(a, b)", "f((a, b))"),
        ("f([a], b)", "f([a, b])"),
        ("f(a, *b)", "f(*a, b)"),
        ("x = 'a b'", "x = 'a', 'b'"),
        ("x = None", "x = 'None'"),
        ("x = 1e999", "x = inf"),
        ("{**a, b: c}", "{a: b, **c}"),
        ("global a, b", "global a\nglobal b"),
        ("x = 0.0", "x = -0.0"),
        ("if a:\n  b\nc", "if a:\n  b\n  c"),
        ("try: a\nexcept b: c\nelse: d", "try: a\nexcept b: c\nfinally: d"),
    ],
)
def test_trees_of_another_shape_are_written_differently(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_a_long_sum_and_a_huge_number_are_no_obstacle() -> None:
    # filterwarnings turns the warning about "\d" into an error, were it let through.
    assert normalised("x = " + "+".join(["a"] * 900)) != normalised("x = " + "+".join(["a"] * 901))
    assert normalised("x = 0x" + "f" * 9999) != normalised("x = 0x" + "f" * 9998)
    assert normalised(r"x = '\d'") == normalised(r"x = '\\d'")


def test_what_is_no_python_stands_for_itself() -> None:
    assert normalised("print 'a'") != normalised("print 'b'")
    assert imported_modules("print 'a'", "m", is_package=False, everywhere=True) == set()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("import a.b.c, d", {"a.b.c", "d"}),
        ("from a import b, c as e", {"a", "a.b", "a.c"}),
        ("from a import *", {"a"}),
        ("from . import b", {"top.mid", "top.mid.b"}),
        ("from .b import c", {"top.mid.b", "top.mid.b.c"}),
        ("from ..b import c", {"top.b", "top.b.c"}),
        ("from .... import c", set[str]()),
        ("import_module('a.b')", {"a.b"}),
        ("importlib.import_module('..b', __package__)", {"top.b"}),
        ("import_module(name)", set[str]()),
    ],
)
def test_imports_become_absolute_names(statement: str, found: set[str]) -> None:
    for everywhere in (True, False):
        assert imported_modules(statement, "top.mid.leaf", is_package=False, everywhere=everywhere) == found


def test_a_package_is_its_own_start_of_relative_imports() -> None:
    assert imported_modules("from .b import c", "top.mid", is_package=True, everywhere=False) == {
        "top.mid.b",
        "top.mid.b.c",
    }
    assert imported_modules("__all__ = ['b']", "top", is_package=True, everywhere=True) == {"top.b"}


PLACES = """
import runs
try:
    import tried
except ImportError:
    import rescued
else:
    import otherwise
finally:
    import last
with a:
    import inside
class C:
    import in_class
    def method(self):
        import in_method
for x in y:
    import looped
if a:
    import maybe
elif b:
    import or_this
else:
    import or_that
if TYPE_CHECKING:
    import types_only
else:
    import not_types
if typing.TYPE_CHECKING:
    import types_too
if not TYPE_CHECKING:
    import real
if __name__ == "__main__":
    import program
match a:
    case 1:
        import matched
async def f():
    import in_async
g = lambda: import_module("in_lambda")
"""
NEVER_AT_IMPORT = {"in_method", "types_only", "types_too", "program", "in_async", "in_lambda"}


def test_only_what_runs_at_import_is_taken_unless_everything_is() -> None:
    every = imported_modules(PLACES, "m", is_package=False, everywhere=True)
    at_import = imported_modules(PLACES, "m", is_package=False, everywhere=False)
    assert len(every) == PLACES.count("import")
    assert every - at_import == NEVER_AT_IMPORT
    assert at_import < every


def test_classes_are_found_by_their_qualified_names() -> None:
    source = "class A:\n  class B: pass\ndef make():\n  if x:\n    class C: pass\n"
    for name in ("A", "A.B", "make.<locals>.C"):
        assert class_definition(source, name) is not None
    for name in ("B.A", "make", "D", "A.C"):
        assert class_definition(source, name) is None


def test_global_names_leave_out_what_is_local() -> None:
    source = "class A(base):\n  def f(self, x):\n    y = x * gain\n    return helper(y)\n"
    assert global_names(source) - {"A"} == {"base", "gain", "helper"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path with modules that must never run."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "site-packages"), *sys.path])
    files = {
        "alone_x.py": "raise RuntimeError\nimport pack_x.sub.leaf",
        "pack_x/__init__.py": "raise RuntimeError",
        "pack_x/sub/__init__.py": "from ..other import thing",
        "pack_x/sub/leaf.py": "from . import twin\nimport alone_x\nimport numpy, json, nowhere_x",
        "pack_x/sub/twin.py": "",
        "pack_x/other.py": "def f():\n  import bare_x.inner.deep",
        "bare_x/inner/deep.py": "",
        "compiled_x.cpython-311-x86_64-linux-gnu.so": "",
        "profile.py": "",
        "site-packages/library_x.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    importlib.invalidate_caches()
    return tmp_path


def test_modules_are_found_without_running_them(folder: Path) -> None:
    assert source_path("alone_x") == folder / "alone_x.py"
    assert source_path("pack_x.sub") == folder / "pack_x/sub/__init__.py"
    assert source_path("bare_x.inner.deep") == folder / "bare_x/inner/deep.py"
    assert read_source("pack_x") == "raise RuntimeError"
    assert source_path("pcbench.source_code") == Path(sys.modules["pcbench.source_code"].__file__ or "")
    for name in ("sys", "math", "nowhere_x", "pack_x.nowhere", "alone_x.thing", "bare_x", "torch._C", "compiled_x"):
        assert source_path(name) is None
    assert not {"alone_x", "pack_x", "bare_x", "pack_x.sub"} & set(sys.modules)


def test_every_module_comes_from_somewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "memory_x", types.ModuleType("memory_x"))
    monkeypatch.setitem(sys.modules, "forbidden_x", None)  # pyright: ignore[reportArgumentType]
    monkeypatch.delitem(sys.modules, "profile", raising=False)
    kinds = {
        "standard": ("sys", "json.decoder", "math", "os.path", "winreg"),
        "installed": ("numpy", "torch._C", "torch.ops", "pcbench.errors", "library_x"),
        # profile.py stands before the standard library's module of that name.
        "own": ("alone_x", "pack_x.sub.leaf", "bare_x.inner.deep", "profile"),
        "unreadable": ("compiled_x", "memory_x"),
        "missing": ("nowhere_x", "pack_x.nowhere", "bare_x", "forbidden_x"),
    }
    for kind, names in kinds.items():
        assert {name: kind_of(name) for name in names} == dict.fromkeys(names, kind)
    (folder / "alone_x.py").unlink()
    loaded = types.ModuleType("alone_x")
    loaded.__file__ = str(folder / "alone_x.py")
    monkeypatch.setitem(sys.modules, "alone_x", loaded)
    assert kind_of("alone_x") == "unreadable"


def test_imports_are_followed_through_the_users_modules_only(folder: Path) -> None:
    del folder
    kinds = reached(["alone_x"], everywhere=False)
    own = {name for name, kind in kinds.items() if kind == "own"}
    assert own == {"alone_x", "pack_x", "pack_x.sub", "pack_x.sub.leaf", "pack_x.sub.twin", "pack_x.other"}
    assert (kinds["numpy"], kinds["json"], kinds["nowhere_x"]) == ("installed", "standard", "missing")
    assert "bare_x.inner.deep" not in kinds
    assert reached(["alone_x"], everywhere=True)["bare_x.inner.deep"] == "own"


def test_pcbench_is_followed_only_when_asked() -> None:
    assert "torch" not in reached(["pcbench.network.network"], everywhere=False)
    assert reached(["pcbench.network.network"], everywhere=False, through_pcbench=True)["torch"] == "installed"
