"""Oracle: the order of rooms that stands here, ground up, against every import statement in the package's source."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pcbench

PACKAGE = Path(pcbench.__file__).parent

# A room imports from those before it, and from itself.
ROOMS = (
    *(
        "shadows",
        "escaping",
        "terminal",
        "errors",
        "limits",
        "files",
        "arguments",
        "options",
        "source_code",
        "distributions",
        "extras",
        "names",
        "plugins",
        "own_code",
        "catalog",
        "norms",
        "percent",
        "cores",
    ),
    *("data", "network", "corruptions", "models", "results", "metrics"),
    *("attacks", "comparison", "reports", "harness", "training", "studies", "doctor", "cli", "__main__"),
)


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of every import of pcbench's own, wherever in the source it stands.

    Args:
        source: The source.
        module: Its dotted name; a package's ends on `__init__`.
    """
    parents = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.partition(".")[0] == "pcbench")
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base == "pcbench":
                names = [alias.name for alias in node.names]
                yield from ((node.lineno, pcbench._HOMES.get(name, f"{base}.{name}")) for name in names)
            elif base.partition(".")[0] == "pcbench":
                yield node.lineno, base


def doors(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and module of every use of a name that the package imports when it is first used: `pcbench.run`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="pcbench"), attr=name) if name in pcbench._HOMES:
                yield node.lineno, pcbench._HOMES[name]
            case _:
                pass


def room(module: str) -> str | None:
    """Return the room of a module; None for the package itself, whose `__init__.py` opens doors for users only."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else None


def upward(source: str, module: str) -> list[str]:
    """Return the imports of a module that go to a room above its own, in words."""
    own = room(module)
    assert own is not None, f"{module} is in no room: give it a place in the order"
    return [
        f"{module}, line {line}: {own} imports {name}"
        for line, name in (*imports(source, module), *doors(source))
        if (there := room(name)) is not None and ROOMS.index(there) > ROOMS.index(own)
    ]


def modules() -> Iterator[tuple[str, Path]]:
    """Yield name and file of every module of the package but its own `__init__.py`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py" and "_catalog" not in path.parts:
            yield ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts), path


def test_every_room_is_there() -> None:
    assert {name.split(".")[1] for name, _ in modules()} == set(ROOMS)


def test_no_import_goes_upwards() -> None:
    found = [one for name, path in modules() for one in upward(path.read_text(encoding="utf-8"), name)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import pcbench.harness.start",
        "from pcbench.harness import start",
        "from pcbench import harness",
        "from pcbench import run",
        "import pcbench\npcbench.run()",
        "from ..harness.start import run",
        "from .. import harness",
        "def late():\n    from pcbench.harness.start import run",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pcbench.harness.start import run",
    ],
)
def test_the_search_finds_an_import_however_it_is_written(source: str) -> None:
    assert len(upward(source, "pcbench.results.directory")) == 1
    assert not upward(source, "pcbench.cli.main")


def test_a_package_is_its_own_start_of_relative_imports() -> None:
    assert upward("from ..harness import start", "pcbench.results.__init__")
    assert not upward("from .harness import start", "pcbench.results.__init__")


_HEAVY = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", "matplotlib", "foolbox", "timm")


@pytest.mark.parametrize(
    "doors",
    ["import pcbench; pcbench.run", "import pcbench.harness.start", "import pcbench.results.lock"],
)
def test_nothing_heavy_is_imported_before_the_lock_is_taken(doors: str) -> None:
    code = f"{doors}\nimport sys\nprint([name for name in {_HEAVY!r} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert said.stdout.strip() == "[]"


_WRONG = [
    ("run --model presnet2", "model 'presnet2' does not exist"),
    ("run --model timm:resnot18", "did you mean 'resnet18'"),
    ("run --suite imagenet-cc", "suite 'imagenet-cc' does not exist; did you mean 'imagenet-c'"),
    ("run --data imagnet:x", "data source 'imagnet:x' does not exist"),
    ("run --data imagefolder:nowhere", "nowhere: there is no such folder of images"),
    ("run --backbone-weights no.safetensors", "no.safetensors: there is no such weights file"),
    ("run --configuration no.toml", "no.toml: there is no such file"),
    ("run --model torchvision:resnet1", "did you mean 'resnet18'"),
    ("run --model mine.toml", "mine.toml: there is no such file"),
    ("run --model mine.toml@timm:resnot18", "mine.toml: there is no such file"),
    ("run --model hf:mine", "write a repository of the hub as hf:OWNER/REPO"),
    ("run --data torchvision:CIFAR1", "torchvision data set 'CIFAR1' does not exist; did you mean 'CIFAR10'"),
    ("run --corruption fogg", "corruption 'fogg' does not exist; did you mean 'fog'?"),
    ("run --corruption cifar-10-c/fogg", "corruption in cifar-10-c 'fogg' does not exist; did you mean 'fog'?"),
    ("run --corruption linf/pgd", "'linf' is a suite of attacks; corruptions are in: cifar-10-c, "),
    ("run --corruption no.toml", "no.toml: there is no such file"),
    ("run --attack pgdd", "attack 'pgdd' does not exist; did you mean 'pgd'?"),
    ("run --attack deepfool", "write minimal-norm/deepfool"),
    ("run --weights no.pth@3", "no.pth@3: there is no such weights file"),
    ("run --precision bf16", "did you mean 'bfloat16'?"),
    ("run --ablation nofeedback", "did you mean 'no-feedback'?"),
    ("run --device gpu", "there is no device 'gpu'; known: auto, cpu, cuda, cuda:N"),
    ("run --corrupted nowhere", "nowhere: there is no such folder of published corrupted images"),
    ("run --adversarials nowhere", "there is no such folder; give that of a run with --save-adversarials"),
    ("plan --random-predictors --model pvgg16", "--random-predictors needs a value after it"),
    ("plan --suite imagenet-cc", "suite 'imagenet-cc' does not exist"),
    ("train --model pdigit", "did you mean 'pdigits'"),
    ("tune --model pdigit", "did you mean 'pdigits'"),
    ("train --data imagefolder:nowhere", "nowhere: there is no such folder of images"),
    ("tune --objective nois", "did you mean 'noise'?"),
    ("tune --objective suite:imagenet-cc", "did you mean 'imagenet-c'"),
    ("agreement --model pdigit", "did you mean 'pdigits'"),
    ("extract --device gpu", "there is no device 'gpu'"),
    *((f"study {verb} no.toml", "no.toml: there is no such file") for verb in ("run", "plan", "status", "report")),
    ("study publish no.toml", "no.toml: there is no such file"),
    ("study check no.toml --against x", "no.toml: there is no such file"),
    ("leaderboard nowhere", "nowhere is not a folder"),
    ("predify no.toml --backbone torchvision:resnet1", "no.toml: there is no such file"),
    ("predify --backbone torchvision:resnet1", "did you mean 'resnet18'"),
    ("predify --model pdigit", "did you mean 'pdigits'"),
]


@functools.cache
def answers() -> dict[str, tuple[int, str, list[str]]]:
    """Return, for each wrong command line, the exit code, what is said, and what heavy libraries are there by then.

    One process is asked for all, since each takes a second to start.
    """
    code = f"""
import contextlib, io, json, sys
from pcbench.cli.main import main
found = {{}}
for arguments in {[arguments for arguments, _ in _WRONG]!r}:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        found[arguments] = [None, "", []]
        try:
            main(arguments.split())
        except SystemExit as end:
            heavy = [name for name in {_HEAVY!r} if name in sys.modules]
            found[arguments] = [end.code, said.getvalue(), heavy]
print(json.dumps(found))
"""
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300, cwd=folder
        )
    return json.loads(said.stdout)


@pytest.mark.parametrize(("arguments", "told"), _WRONG)
def test_a_wrong_name_is_told_before_anything_heavy_is_imported(arguments: str, told: str) -> None:
    code, said, heavy = answers()[arguments]
    assert (code, heavy) == (2, [])
    assert told in " ".join(said.split())


@pytest.mark.parametrize("arguments", ["report nowhere", "merge nowhere"])
def test_a_wrong_folder_waits_for_no_pytorch(arguments: str) -> None:
    code = f"""
import sys
from pcbench.cli.main import main
sys.modules["torch"] = None  # an import of it fails
main({arguments.split()!r})
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 2
    assert "nowhere is not a" in said.stderr


_LATER = (
    *("scipy", "pandas", "rich", "matplotlib", "torchvision", "sklearn", "timm", "foolbox", "optuna", "jinja2"),
    "IPython",
)
MOST_MODULES = 430
"""How many modules a worker may import beside PyTorch's own: each is a file to find, and to compile where containers
keep no compiled ones. 402 in November 2026."""


def test_a_run_imports_little_beside_pytorch_before_it_is_used() -> None:
    code = f"""
import sys, torch
before = len(sys.modules)
import pcbench.harness.run, pcbench.harness.work.scores, pcbench.harness.work.attacks
print(len(sys.modules) - before, [name for name in {_LATER!r} if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    count, _, found = said.stdout.strip().partition(" ")
    assert found == "[]"
    assert int(count) < MOST_MODULES


def test_the_lock_is_held_when_the_first_heavy_import_begins(tmp_path: Path) -> None:
    # An import of torch that is forbidden fails inside the run, where the holder's file must be there already.
    code = """
import sys, pathlib
class Forbidding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            print(name, sorted(path.name for path in pathlib.Path(OUT).parent.iterdir()))
            raise SystemExit(3)
sys.meta_path.insert(0, Forbidding())
import pcbench
pcbench.run("pdigits", out=OUT)
""".replace("HEAVY", repr(_HEAVY)).replace("OUT", repr(str(tmp_path / "run")))
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert said.returncode == 3, said.stderr
    assert "run.holder.json" in said.stdout
    assert "run.lock" in said.stdout
