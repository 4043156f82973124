"""Oracle: what an edit does to a model: whatever could change its answers changes its identity, a comment does not."""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from hashlib import sha256

import forking
import pytest
from torch import nn

from pcbench.network.identity import ModelIdentity, model_identity

NOTHING = sha256(b"").hexdigest()


class Folder:
    """A user's folder of Python files."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.path / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.path / f"{name}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def forget(self) -> None:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(self.path)):
                del sys.modules[name]
        importlib.invalidate_caches()

    def model(self, name: str = "net_y") -> nn.Module:
        self.forget()
        return importlib.import_module(name).make()

    def identity(self, name: str = "net_y") -> ModelIdentity:
        return model_identity(self.model(name), name)


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    # A file edited twice in a second would be taken from its old bytecode.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Folder(tmp_path)
    yield made
    made.forget()


LAYER = '''"""Layers."""
from torch import nn

class Scale(nn.Module):
    """Scales."""

    def forward(self, x):
        # twice
        return 2 * x
'''
MAKE = "from torch import nn\nfrom layer_y import Scale\ndef make():\n    return nn.Sequential(nn.Flatten(), Scale())\n"


def test_an_edit_of_a_layer_inside_sequential_counts(folder: Folder) -> None:
    folder.write(layer_y=LAYER, net_y=MAKE)
    before = folder.identity()
    assert before.code_sha256 is not None
    assert before == folder.identity()
    # Without the name of the function's module the layer's own module is still a root.
    layer_only = model_identity(folder.model()).code_sha256
    folder.edit("layer_y", "2 * x", "3 * x")
    assert folder.identity().code_sha256 not in (before.code_sha256, None)
    assert model_identity(folder.model()).code_sha256 not in (layer_only, None)
    assert folder.identity().attributes_sha256 == before.attributes_sha256


GUARDED = """
import limits_y
from torch import nn
LIMIT = 1

def within(x):
    return x < LIMIT + limits_y.MORE

class Guard(nn.Module):
    def forward(self, x):
        return within(x)

def make():
    return Guard()
"""


def test_global_variables_that_the_code_uses_count_as_they_stand(folder: Folder) -> None:
    folder.write(net_y=GUARDED, limits_y="MORE = 0\nUNUSED = 0\n")
    before = folder.identity()
    model = folder.model()
    assert model_identity(model, "net_y").code_sha256 == before.code_sha256
    limits, net = sys.modules["limits_y"], sys.modules["net_y"]
    limits.UNUSED = 5
    assert model_identity(model, "net_y").code_sha256 == before.code_sha256
    limits.MORE = 1
    changed = model_identity(model, "net_y").code_sha256
    limits.MORE, net.LIMIT = 0, 2
    assert len({before.code_sha256, changed, model_identity(model, "net_y").code_sha256}) == 3
    net.LIMIT = 1
    assert model_identity(model, "net_y").code_sha256 == before.code_sha256
    net.within = lambda x: x > 3
    assert model_identity(model, "net_y").code_sha256 != before.code_sha256


def test_code_that_was_edited_after_it_was_loaded_is_not_taken_for_the_edited_one(folder: Folder) -> None:
    folder.write(layer_y=LAYER, net_y=MAKE)
    model = folder.model()
    folder.edit("layer_y", "2 * x", "3 * x")
    in_memory = model_identity(model, "net_y").code_sha256
    assert in_memory != folder.identity().code_sha256


def test_docstrings_and_comments_do_not_count(folder: Folder) -> None:
    folder.write(layer_y=LAYER, net_y=MAKE)
    before = folder.identity()
    folder.edit("layer_y", "# twice", "# two times\n")
    folder.edit("layer_y", "Scales.", "Scales by two.")
    assert folder.identity() == before


@pytest.mark.parametrize("edited", ["tools_y/__init__", "tools_y/deep", "tools_y/base", "late_y", "loop_y", "named_y"])
def test_helpers_of_helpers_count(folder: Folder, edited: str) -> None:
    folder.write(
        layer_y="from tools_y.deep import double\n" + LAYER,
        net_y=MAKE,
        tools_y__in____init__="a = 1",
        tools_y__in__deep="a = 1\nfrom .base import *\nfrom . import base as b\ndef double(x): return x\n",
        tools_y__in__base="import loop_y\na = 1\ndef f():\n    import late_y\n",
        late_y="import importlib\na = 1\nimportlib.import_module('named_y')\n",
        loop_y="import net_y\na = 1\n",
        named_y="a = 1",
        stranger_y="a = 1",
    )
    before = folder.identity()
    folder.edit("stranger_y", "a = 1", "a = 2")
    assert folder.identity() == before
    folder.edit(edited, "a = 1", "a = 2")
    assert folder.identity().code_sha256 not in (before.code_sha256, None)


def test_a_missing_optional_import_and_imports_for_types_do_no_harm(folder: Folder) -> None:
    optional = "try:\n    import nowhere_y\nexcept ImportError:\n    pass\n"
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hints_y import Hint\n"
    folder.write(layer_y=optional + typed + LAYER, net_y=MAKE, hints_y="Hint = int")
    found = folder.identity()
    assert found.code_sha256 is not None
    assert found.unreadable == ()
    assert set(found.packages) == {"torch"}


def test_a_method_put_into_a_class_from_outside_counts(folder: Folder) -> None:
    patch = "from layer_y import Scale\ndef forward(self, x): return 2 * x\nScale.forward = forward\n"
    folder.write(layer_y=LAYER, net_y=MAKE, patch_y=patch)
    model = folder.model()
    importlib.import_module("patch_y")
    before = model_identity(model).code_sha256
    folder.edit("patch_y", "2 * x", "3 * x")
    assert model_identity(model).code_sha256 != before


def test_a_model_of_pytorch_alone_has_no_code_of_the_users() -> None:
    found = model_identity(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert found.code_sha256 == NOTHING
    assert found.unreadable == ()
    assert found.packages == {"torch": importlib.metadata.version("torch")}


def test_installed_packages_enter_by_their_versions(folder: Folder) -> None:
    folder.write(layer_y="import numpy, PIL.Image\n" + LAYER, net_y=MAKE)
    assert set(folder.identity().packages) == {"torch", "numpy", "pillow"}


def test_code_without_a_file_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(layer_y=LAYER, net_y=MAKE)
    made = type("Made", (nn.Module,), {"forward": nn.Identity.forward})
    found = model_identity(nn.Sequential(made()))
    assert found.code_sha256 is None
    assert found.unreadable == (f"{__name__}.Made",)

    memory = types.ModuleType("memory_y")
    monkeypatch.setitem(sys.modules, "memory_y", memory)
    folder.edit("layer_y", '"""Layers."""', "import memory_y")
    assert folder.identity().unreadable == ("memory_y",)

    model = folder.model()
    (folder.path / "layer_y.py").unlink()
    found = model_identity(model)
    assert found.code_sha256 is None
    assert "layer_y.Scale" in found.unreadable


@pytest.mark.parametrize("module", ["builtins", "nowhere_y", "collections"])
def test_a_class_made_by_exec_is_named(module: str) -> None:
    made = type("Made", (nn.Module,), {"__module__": module})
    found = model_identity(made())
    assert found.code_sha256 is None
    assert found.unreadable == (f"{module}.Made",)


def test_an_extension_module_is_named(folder: Folder) -> None:
    folder.write(layer_y=LAYER + "\ndef f():\n    import fast_y\n", net_y=MAKE)
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (folder.path / f"fast_y{suffix}").write_bytes(b"")
    assert folder.identity().unreadable == ("fast_y",)


def test_the_module_of_a_function_counts(folder: Folder) -> None:
    folder.write(
        function_y="import helper_y\ndef act(x):\n    '''Act.'''\n    return helper_y.a * x\n", helper_y="a = 1"
    )
    for wrap in (lambda act: act, functools.partial, lambda act: {"deep": [act]}):
        folder.forget()
        model = nn.Sequential(nn.Linear(2, 2))
        model[0].activation = wrap(importlib.import_module("function_y").act)
        before = model_identity(model)
        assert before.code_sha256 not in (None, NOTHING)
        folder.edit("helper_y", "a = 1", "a = 1 + 1")
        assert model_identity(model).code_sha256 != before.code_sha256
        folder.edit("helper_y", "a = 1 + 1", "a = 1")
    folder.edit("function_y", "'''Act.'''", "'''Acts.'''\n    # No change.")
    folder.forget()
    model[0].activation = {"deep": [importlib.import_module("function_y").act]}
    assert model_identity(model) == before


SCRIPT = """
import sys, torch
from torch import nn
from pcbench.network.identity import model_identity
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = {"b", "a", "c", "d"}
        self.act = lambda x: x in {"p", "q", "r", "s"}
        self.other = object()
        self.table = torch.arange(4)
    def forward(self, x):
        return self.act(x)
if __name__ == "__main__":
    print(model_identity(Net()))
"""


def run(program: pathlib.Path, seed: str) -> str:
    """Run a program in a new process."""
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fork(forks: forking.Forks, *arguments: str) -> str:
    """Run a program in a fork of a process that has loaded the libraries."""
    process = forks.subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return printed.decode()


def test_two_processes_agree_and_a_program_is_read_from_its_file(tmp_path: pathlib.Path, forks: forking.Forks) -> None:
    program = tmp_path / "program_y.py"
    program.write_text(SCRIPT)
    first = run(program, seed="1")
    assert re.match(r"ModelIdentity\(code_sha256='[0-9a-f]{64}'", first)
    assert NOTHING not in first
    assert first == fork(forks, str(program))  # of a process with another hash seed
    program.write_text(SCRIPT.replace("self.act(x)", "self.act(-x)"))
    edited = fork(forks, str(program))
    assert edited.split("attributes")[0] != first.split("attributes")[0]


NOTEBOOK = '''
import linecache, sys
def run_cell(number, text):
    """Run text as Jupyter does."""
    name = f"<ipython-input-{number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), vars(sys.modules["__main__"]))
from torch import nn
from pcbench.network.identity import model_identity
numbers = iter(range(99))
CELLS = """
import helper_y
gain = 2.0
unused = [1.0]
def scale(x):
    return helper_y.a * gain * x
class Layer(nn.Module):
    def forward(self, x):
        unused = 1
        return scale(x)
"""
def seen(*edit, run=run_cell):
    text = CELLS.replace(*edit) if edit else CELLS
    assert not edit or text != CELLS
    run(next(numbers), text)
    return model_identity(nn.Sequential(Layer()))
first = seen()
assert first.code_sha256 and first.unreadable == (), first
assert seen() == first
assert seen("return scale(x)", "return scale(x)  # same") == first
assert seen("unused = [1.0]", "unused = [2.0]") == first
for edit in (("return scale(x)", "return -scale(x)"), ("gain * x", "gain + x"), ("gain = 2.0", "gain = 3.0")):
    found = seen(*edit)
    assert found.code_sha256 not in (first.code_sha256, None), (edit, found)
old = Layer()
seen("return scale(x)", "return -scale(x)")
assert model_identity(nn.Sequential(old)).code_sha256 != model_identity(nn.Sequential(Layer())).code_sha256
assert seen() == first
open(helper_y.__file__, "w").write("a = 2")
assert seen().code_sha256 not in (first.code_sha256, None)
lost = seen(run=lambda number, text: exec(text, vars(sys.modules["__main__"])))
assert lost.code_sha256 is None and lost.unreadable == ("__main__.Layer",), lost
print("all true")
'''


def test_a_notebook_is_read_from_its_cells(tmp_path: pathlib.Path, forks: forking.Forks) -> None:
    (tmp_path / "helper_y.py").write_text("a = 1")
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); __file__ = '<stdin>'\n"
    assert fork(forks, "-c", start + NOTEBOOK) == "all true\n"
