"""What a Python user finds under `pcbench.`: by completion, in a type checker, and quickly.

Oracle: pyright and mypy themselves, on a script with four mistakes and none elsewhere; the imports that stand under
TYPE_CHECKING, read from the source, against those that are made; the time that the process itself measures.
"""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pcbench
from pcbench.harness.request import RunOptions
from pcbench.options import declared

ROOT = Path(__file__).parents[1]
ASKED = ("run", "attack", "corrupt", "predify", "train", "tune", "load", "open_run", "compare", "check", "report")
SCRIPT = """import pcbench

run = pcbench.run(model="pdigits", suites=["digits-c"], bracketing=False, epsilons=("1/255",))
run = pcbench.run("pdigits", imges=20)
run = pcbench.run("pdigits", images="4")
pcbench.predfy
pcbench.train(model="pdigits", epochs="many")
pcbench.compare(run, "other").frame
pcbench.figure(run, "success-by-timestep", width="page").savefig("figure.pdf")
print(run.metrics)
pcbench.check(run, "reference.npz").passed
"""
WRONG = [4, 5, 6, 7]
# The libraries that pcbench calls are known to be large; whoever has a cache waits for them once.
MYPY = """[mypy]
cache_dir = {cache}
[mypy-torch.*,torchvision.*,numpy.*,pandas.*,matplotlib.*,pyarrow.*,scipy.*,PIL.*,pydantic.*,rich.*,eagerpy.*]
follow_imports = skip
follow_imports_for_stubs = True
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path / "script.py"


def wrong_lines(said: subprocess.CompletedProcess[str], error: str) -> list[int]:
    assert said.returncode == 1, said.stdout + said.stderr
    lines = (line for line in said.stdout.splitlines() if error in line and "script.py:" in line)
    return [int(line.split("script.py:")[1].split(":")[0]) for line in lines]


def test_a_typo_fails_in_pyright(script: Path) -> None:
    (script.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    command = [shutil.which("pyright") or "pyright", "--pythonpath", sys.executable, "script.py"]
    said = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, check=False, timeout=300)
    assert wrong_lines(said, " - error: ") == WRONG


def test_a_typo_fails_in_mypy(script: Path) -> None:
    (script.parent / "mypy.ini").write_text(MYPY.format(cache=script.parent / "cache"))
    command = [sys.executable, "-m", "mypy", "--python-executable", sys.executable, "script.py"]
    said = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, check=False, timeout=300)
    assert wrong_lines(said, " error: ") == WRONG


def fresh(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_completion_finds_all_functions_and_nothing_else() -> None:
    found = fresh("import pcbench; print(*(name for name in dir(pcbench) if name[0] != '_'))").split()
    assert found == sorted(name for name in pcbench.__all__ if name != "__version__")
    assert set(ASKED) | {"figure", "extract", "merge", "plan"} == set(found)
    assert all(inspect.getdoc(getattr(pcbench, name)) for name in found)


def test_a_type_checker_sees_the_same_homes() -> None:
    source = ast.parse((ROOT / "pcbench" / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in source.body if isinstance(node, ast.If))
    imports = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imports == pcbench._HOMES


def test_the_documentation_calls_what_import_pcbench_gives() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    called = {name for page in pages for name in re.findall(r"\bpcbench\.([\w.]+)\(", page.read_text(encoding="utf-8"))}
    assert {"run", "load", "attack"} <= called <= set(pcbench.__all__)


def test_a_typo_names_the_nearest_function() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'predfy', did you mean 'predify'\?"):
        _ = pcbench.predfy


def test_the_options_of_a_run_are_completed_by_name() -> None:
    assert {*inspect.signature(pcbench.run).parameters} - {"of_model", "on_suites"} == {*declared(RunOptions)}


def test_the_import_takes_less_than_a_tenth_of_a_second_of_processor_time() -> None:
    code = "import time; begun = time.process_time(); import pcbench; print(time.process_time() - begun)"
    assert min(float(fresh(code)) for _ in range(3)) < 0.1


def test_the_page_of_names_has_what_is_asked_for() -> None:
    page = (ROOT / "docs" / "reference" / "names.md").read_text(encoding="utf-8")
    assert all(f"| `pcbench.{name}` |" in page for name in ASKED)
    assert "| `torchvision:NAME[@WEIGHTS]` |" in page
