"""The page docs/reference/api.md: functions and classes of pcbench, from their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pcbench
from pcbench.attacks.api import AttackOptions
from pcbench.attacks.given import AttackKeys, own_attack
from pcbench.attacks.sweep import Sweep, SweepOptions
from pcbench.cli.pages.markdown import MADE, anchor, cell, field_docstrings, first_paragraph, prose, table
from pcbench.comparison.api import RunComparison
from pcbench.comparison.compare import ComparedRow
from pcbench.comparison.gate import CheckedRow, GateReport
from pcbench.corruptions.corruption import Corruption
from pcbench.corruptions.given import CorruptionKeys, own_corruption
from pcbench.harness.estimate import RunEstimate
from pcbench.models.load_options import LoadOptions
from pcbench.models.model import Model
from pcbench.network.network import PredictiveNetwork
from pcbench.network.timestep_model import TimestepClassifier, TimestepModel
from pcbench.network.unrolling import Unrolled
from pcbench.network.update import Hyperparameters
from pcbench.results.directory import Run
from pcbench.results.extraction import Extraction
from pcbench.results.shard import Shard
from pcbench.training.found import Tuned
from pcbench.training.job import Trained

GROUPS: Mapping[str, tuple[type, ...]] = {
    "Networks": (PredictiveNetwork, Unrolled, Hyperparameters, TimestepModel, TimestepClassifier),
    "Models": (Model, LoadOptions),
    "Results": (Run, Extraction, Shard, RunEstimate),
    "Comparisons": (RunComparison, ComparedRow, GateReport, CheckedRow),
    "Attacks": (Sweep, AttackOptions, SweepOptions, AttackKeys),
    "Corruptions": (Corruption, CorruptionKeys),
    "Training": (Trained, Tuned),
}
"""The classes that the functions take and return, under the headings of the page."""
_OWN: tuple[Callable[..., Any], ...] = (own_attack, own_corruption)
"""Functions of modules, by which what is a user's own is given with its name and settings."""

_LONGEST = 100
"""Of a signature, in letters."""

_SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Source):\n", re.MULTILINE)
_ENTRY = re.compile(r"^(?P<name>\S[^:]*): (?P<text>.*(?:\n +.*)*)", re.MULTILINE)
_HEADS = {"Args": ("argument", "meaning"), "Raises": ("error", "where")}
_HEAD = f"""# Python

{MADE}

The functions of `pcbench`, and the classes that they take and return. Images are float tensors in [0, 1], of shape
(batch, channels, height, width), and T is the number of updates: logits of T + 1 timesteps are (T + 1, batch, classes).
A name that begins with an underscore is nobody's but pcbench's. Examples: [python.md](../how_to/python.md).
`import pcbench` loads none of the libraries; they are loaded when a function is first used.

"""


def api_page() -> str:
    """Return the page as Markdown."""
    functions = [getattr(pcbench, name) for name in pcbench.__all__ if not name.startswith("_")]
    rows = [
        *((f"[`pcbench.{one.__name__}`](#{anchor(_heading(one))})", first_paragraph(one.__doc__)) for one in functions),
        *((f"[`{one.__name__}`](#{anchor(_heading(one))})", first_paragraph(one.__doc__)) for one in _classes()),
    ]
    lines = [_HEAD, table(("name", "what it is"), rows), "## Functions\n"]
    lines += [line for one in (*functions, *_OWN) for line in _function(one)]
    for group, classes in GROUPS.items():
        lines += [f"## {group}\n", *(line for one in classes for line in _class(one))]
    return "\n".join(lines)


def _classes() -> Iterator[type]:
    for classes in GROUPS.values():
        yield from classes


def _heading(one: Any) -> str:
    home = "pcbench" if one.__name__ in pcbench.__all__ else one.__module__
    return f"`{home}.{one.__name__}`"


def _function(function: Callable[..., Any]) -> Iterator[str]:
    yield f"### {_heading(function)}\n"
    yield f"```text\n{_signature(function, function.__name__)}\n```\n"
    yield from _documented(function)


def _signature(function: Callable[..., Any], name: str) -> str:
    """Return a signature, one parameter a line where it is long; options stand as `**options`."""
    found = inspect.signature(function)
    parameters = [one for one in found.parameters.values() if one.name not in ("self", "cls")]
    # An option has no default of its own: its declaration has.
    named = [one for one in parameters if one.default is not Ellipsis]
    kinds = [one.kind for one in named]
    written = [_parameter(one) for one in named]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        written.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    if inspect.Parameter.POSITIONAL_ONLY in kinds:
        written.insert(kinds.count(inspect.Parameter.POSITIONAL_ONLY), "/")
    written += ["**options"] if len(named) < len(parameters) else []
    returned = "" if found.return_annotation is inspect.Signature.empty else f" -> {found.return_annotation}"
    line = f"{name}({', '.join(written)}){returned}"
    each = ",\n    ".join(written)
    return line if len(line) <= _LONGEST else f"{name}(\n    {each},\n){returned}"


def _parameter(one: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(one.kind, "")
    kind = "" if one.annotation is inspect.Parameter.empty else f": {one.annotation}"
    default = "" if one.default is inspect.Parameter.empty else f" = {one.default!r}"
    return f"{stars}{one.name}{kind}{default}"


def _documented(one: object) -> Iterator[str]:
    """Yield a docstring as Markdown: its text, its arguments and errors as tables."""
    text = prose(one).replace("docs/reference/options.md", "[options.md](options.md)")
    about, *rest = _SECTION.split(text)
    yield f"{about.strip()}\n"
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        entries = inspect.cleandoc(body)
        if name in _HEADS:
            rows = [(f"`{found['name']}`", found["text"]) for found in _ENTRY.finditer(entries)]
            yield table(_HEADS[name], rows)
        else:
            yield f"{name}: {cell(entries)}\n"


def _class(cls: type) -> Iterator[str]:
    yield f"### {_heading(cls)}\n"
    yield from _documented(cls)
    above = [f"[`{one.__name__}`](#{anchor(_heading(one))})" for one in cls.__bases__ if one in _classes()]
    if above:
        yield f"It has all of {', '.join(above)} too.\n"
    fields = {name: text for name, text in field_docstrings(cls).items() if not name.startswith("_")}
    if fields:
        yield table(("field", "meaning"), ((f"`{name}`", text) for name, text in fields.items()))
    for name, member in cls.__dict__.items():
        if name.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, property):
            yield f"#### `{cls.__name__}.{name}`\n"
            yield from _documented(member)
        elif inspect.isfunction(member) or isinstance(member, classmethod):
            function: Any = cast("Any", member).__func__ if isinstance(member, classmethod) else member
            yield f"#### `{cls.__name__}.{name}()`\n"
            yield f"```text\n{_signature(function, name)}\n```\n"
            yield from _documented(function)
