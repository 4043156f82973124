"""The page docs/reference/json.md, made from the declared forms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from pcbench.attacks.agreement import Agreement
from pcbench.cli import json_forms as forms
from pcbench.cli.pages.markdown import MADE, field_docstrings
from pcbench.harness.estimate import RunEstimate
from pcbench.models.conversions import NetworkFacts

JSON_FORMS: dict[str, tuple[type, ...]] = {
    "run": (forms.RunForm, forms.ShardForm),
    "show": (forms.RunForm, forms.WeightsForm),
    "merge": (forms.RunForm, forms.ExtractionForm),
    "extract": (forms.ExtractionForm, forms.ShardForm),
    "plan": (RunEstimate,),
    "compare": (forms.ComparisonForm,),
    "check": (forms.GateForm,),
    "runs": (forms.RunsForm,),
    "status": (forms.StatusForm,),
    "train": (forms.TrainForm,),
    "tune": (forms.TuneForm,),
    "predify": (NetworkFacts,),
    "agreement": (Agreement,),
    "study plan": (forms.StudyPlanForm,),
    "study status": (forms.StudyPlanForm,),
    "study run": (forms.StudyAnswersForm,),
    "study report": (forms.StudyAnswersForm,),
}
"""What each verb prints: the first, or one of the others where it is about something else."""

_MORE = {
    "plan": "and `shards`, how many of the wished duration. `pcbench run --dry-run` prints the same.",
    "predify": "and `command`, the run with this network; of a backbone alone `configuration`, the text to start from.",
    "agreement": "in a list `rows`, one a budget.",
}
_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    NoneType: "null",
    Any: "any",
}
_HEAD = f"""# What `--json` prints

{MADE}

With `--json` a verb prints one JSON value on standard output in place of its tables; progress, warnings and errors stay
on standard error, exit codes stay the same, and `-q` leaves errors and warnings alone beside it. Keys stay: a new
version may add some, and removes or renames none without saying so. Shares are from 0 to 1, and a number that is not
finite is null.

`pcbench list --json` holds a list for each kind (`models`, `suites`, `attacks`, `corruptions`, `data`), whose entries
have the headings of its table as keys. `pcbench doctor --json` is a list of findings: `topic`, `name`, `found`, `state`
(`ok`, `note` or `wrong`) and `remedy`.
"""


def json_page() -> str:
    """Return the page as Markdown: a section for each verb, and one for each form that several share."""
    lines, told = [_HEAD], list[type]()
    for verb, known in JSON_FORMS.items():
        named = " or ".join(f"[{form.__name__}](#{form.__name__.lower()})" for form in known)
        lines.append(f"- `pcbench {verb} --json`: {named}" + (f", {_MORE[verb]}" if verb in _MORE else ""))
        for form in known:
            told += [one for one in (form, *_within(form)) if one not in told]
    return "\n".join([*lines, "", *(line for form in told for line in _form_section(form))])


def _within(form: type) -> Iterator[type]:
    """Yield the forms that a form holds, at any depth."""
    for hint in get_type_hints(form).values():
        for one in _parts(hint):
            if isinstance(one, type) and (is_typeddict(one) or dataclasses.is_dataclass(one)):
                yield one
                yield from _within(one)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for one in get_args(hint):
        yield from _parts(one)


def _form_section(form: type) -> Iterator[str]:
    yield f"## {form.__name__}\n\n{(form.__doc__ or '').splitlines()[0]}\n"
    yield "| key | value | meaning |\n|---|---|---|"
    docs = field_docstrings(form)
    for name, hint in get_type_hints(form).items():
        meaning = " ".join(docs.get(name, "").split()).replace("None where", "null where").replace("|", "\\|")
        yield f"| `{name}` | {_kind_of(hint)} | {meaning} |"
    yield ""


def _kind_of(hint: Any) -> str:
    """Return the kind of a value in words."""
    if hint in _WORDS:
        return _WORDS[hint]
    inner = [one for one in get_args(hint) if one is not Ellipsis]
    if get_origin(hint) in (list, tuple):
        return f"list of {' and '.join(dict.fromkeys(map(_kind_of, inner)))}"
    if get_origin(hint) is dict:
        return "object"
    if inner:
        return " or ".join(map(_kind_of, inner))
    return f"[{hint.__name__}](#{hint.__name__.lower()})"
