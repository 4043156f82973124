"""Every attack, corruption, statistic and equation says where it comes from: a paper, or that it is pcbench's own.

Oracle: docstrings and definition files. A source is an arXiv number, a DOI or a year beside a name; "Own" stands where
no source was found, with the reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pcbench
from pcbench.attacks.definitions import load_attack_suite
from pcbench.catalog import catalog_folder, suite_names
from pcbench.corruptions.definitions import load_corruption_suite
from pcbench.corruptions.functions import FUNCTIONS

PACKAGE = Path(pcbench.__file__).parent
SOURCE = re.compile(r"arXiv[ :]\d{4}\.\d{4,5}|\bdoi\b|\b(18|19|20)\d\d\b", re.IGNORECASE)
OWN = re.compile(r"Source: Own[ ,;.]")

# Modules of metrics that make rows, columns and words of numbers that others compute.
NO_STATISTICS = {"cells", "draw_rows", "lost_gradients", "marks", "rows", "shown", "summary"}
EQUATIONS = (
    *("network/update", "network/unrolling", "network/gradient", "network/predictors", "network/controls"),
    *("attacks/all_timesteps", "attacks/descent", "attacks/worst_case", "attacks/retry"),
    *("attacks/checks/gradients", "attacks/checks/plain_pgd", "attacks/checks/rivals", "attacks/checks/transfer"),
    *("attacks/checks/verdict", "network/fast/fourier_tiles"),
    *("training/closed_form", "training/normal_equations", "training/descent", "training/search"),
)
"""Modules whose arithmetic is an algorithm or an equation of the field."""


def cites(text: str | None) -> bool:
    """Whether a text names a source, or says that there is none."""
    return SOURCE.search(text or "") is not None or OWN.search(text or "") is not None


@pytest.mark.parametrize("name", suite_names("attacks"))
def test_an_attack_names_its_paper(name: str) -> None:
    suite = load_attack_suite(catalog_folder("attacks") / name)
    assert [one.name for one in suite.attacks if not cites(one.source)] == []


@pytest.mark.parametrize("name", suite_names("corruptions"))
def test_a_corruption_names_its_paper_or_its_suite_does(name: str) -> None:
    suite = load_corruption_suite(catalog_folder("corruptions") / name)
    bare = [one.name for one in suite.corruptions if not cites(one.source)]
    assert cites(suite.source) or bare == []
    assert all(one.source for one in suite.corruptions)
    assert suite.baseline is None or suite.baseline.source


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_a_corruption_names_what_it_follows(name: str) -> None:
    function = FUNCTIONS[name]
    module = (PACKAGE.parent / Path(*function.__module__.split("."))).with_suffix(".py")
    paper = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert "Source: " in (function.__doc__ or "")
    assert cites(paper)


def statistics() -> Iterator[tuple[str, str, str]]:
    """Yield the name of every public function of a statistic, its docstring, and that of its module."""
    for path in sorted((PACKAGE / "metrics").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.stem in NO_STATISTICS or path.stem.endswith("_rows"):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield f"{path.stem}.{node.name}", ast.get_docstring(node) or "", ast.get_docstring(tree) or ""


def test_a_statistic_names_its_source_or_its_module_does() -> None:
    found = list(statistics())
    assert len(found) > 30
    assert [name for name, own, module in found if not cites(own) and not cites(module)] == []


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_names_its_source(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    parts = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert any(cites(ast.get_docstring(node)) for node in (tree, *parts))


def test_a_text_without_a_source_is_found() -> None:
    assert not cites("PGD, 20 steps, at 224 px and 1.5 points")
    assert not cites("Source: Ownership is not meant")
    assert cites("Source: Own, since no paper has it")
    assert cites("Q. McNemar, Psychometrika 12, 1947")
