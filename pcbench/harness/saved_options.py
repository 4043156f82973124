"""What a saved plan says of a run's options, and how it is joined with the options that are given beside it.

A saved plan (`pcbench.harness.saved_plan`) decides all that can change a number. Where images and weights lie, and how
the work is done, is said anew each time. Nothing heavy is imported here: options are read before anything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pcbench.errors import DataError, UsageError
from pcbench.files import MARKER, is_file
from pcbench.harness.origin import is_shipped_suite
from pcbench.harness.request import RunOptions
from pcbench.limits.text import read_json
from pcbench.norms import parse_epsilons
from pcbench.options import declared, with_places

PLAN = "plan.json"
RUN_SPEC = "run_spec.json"
STANDS_FOR_A_PATH = "<PATH>"
_REMEDY = "save it again with pcbench plan --save-spec"


def record(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that decide what is run, as a saved plan holds them.

    Paths are replaced by a placeholder, suites named without their folders, and an object of Python is its type in <>.
    """
    deciding = {name for name, one in declared(RunOptions).items() if one.option.spec is not None}
    values = {name: value for name, value in request.items() if name in deciding}
    suites = with_places(RunOptions, {"suites": values.pop("suites")}, _last)
    # As JSON has it: a tuple is a list there.
    return json.loads(
        json.dumps({**with_places(RunOptions, values, lambda _: STANDS_FOR_A_PATH), **suites}, default=str)
    )


def with_saved(values: Mapping[str, Any], given: Mapping[str, Any]) -> RunOptions:
    """Return the values of all options, those of a saved plan among them.

    Args:
        values: The values of all options; `spec` names the plan's folder.
        given: The options that were given at all.

    Raises:
        DataError: The plan is missing or damaged.
        UsageError: An option contradicts the plan, or a place that it needs is not given.
    """
    folder = Path(str(values["spec"])).expanduser()
    options, settings, suites = _read(folder)
    known = {name: one for name, one in declared(RunOptions).items() if one.option.spec is not None}
    there = {name for name in known if given.get(name) is not None}
    found = dict(values)
    missing: list[str] = []
    for name, one in known.items():
        if name == "suites" and options["adversarials"] is None:
            _compare(folder, name, _asked(values, name) if name in there else None, [kept.name for kept in suites])
            found[name] = tuple(kept.name if is_shipped_suite(kept.name) else str(kept) for kept in suites)
        elif name in there:
            said = options[name] if one.setting is None else settings[one.setting]
            _compare(folder, name, _asked(values, name), said)
        elif _is_place(options[name]):
            missing.append(f"`{name}`")
        else:
            value = options[name]
            found[name] = tuple(cast("list[Any]", value)) if isinstance(value, list) else value
    if missing:
        raise UsageError(f"{folder} holds no paths: say where things lie here with {', '.join(missing)}")
    return cast("RunOptions", found)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[Path]]:
    """Return the options and settings of a saved plan, and the folders of its suites."""
    if is_file(folder):
        raise DataError(f"{folder} is a file; `spec` is the folder that pcbench plan --save-spec wrote")
    try:
        plan = read_json(folder / PLAN)
        spec = read_json(folder / RUN_SPEC)
        options, settings = dict(plan["options"]), dict(spec["settings"])
        suites = [folder.absolute() / str(suite["kind"]) / str(suite["name"]) for suite in spec["suites"]]
        missing = [
            name
            for name, one in declared(RunOptions).items()
            if one.option.spec is not None and (name not in options or one.setting not in (None, *settings))
        ]
    except FileNotFoundError:
        what = "is a run or a shard, not a saved plan" if is_file(folder / MARKER) else "does not hold a saved plan"
        raise DataError(f"{folder} {what}; {_REMEDY}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: the saved plan is damaged ({type(error).__name__}); {_REMEDY}") from error
    if missing:
        raise DataError(f"{folder}: was saved by another version of pcbench (without {missing[0]}); {_REMEDY}")
    return options, settings, suites


def _asked(values: Mapping[str, Any], name: str) -> Any:
    """Return the value of an option in the form of a plan; None where it leaves the choice."""
    value = values[name]
    if name == "epsilons":
        return list(parse_epsilons(value))
    if name == "device":
        return None if value == "auto" else str(value).partition(":")[0]
    if declared(RunOptions)[name].setting is None:
        return record(values)[name]
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value  # as JSON has it


def _compare(folder: Path, name: str, asked: Any, planned: Any) -> None:
    """Refuse an option that says something else than the plan; None says nothing."""
    if asked is None or asked == planned:
        return
    raise UsageError(
        f"`{name}` contradicts the plan in {folder}, which says {_shown(planned)} (got {_shown(asked)}); leave it out, "
        "or save another plan"
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, cast("list[Any]", value))) or "none"
    return "none" if value is None else str(value)


def _is_place(value: Any) -> bool:
    """Return whether a recorded value stands for something that only the machine at hand has."""
    return isinstance(value, str) and (STANDS_FOR_A_PATH in value or (value.startswith("<") and value.endswith(">")))


def _last(place: str) -> str:
    return Path(place).absolute().name
