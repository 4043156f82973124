"""The configuration file that repeats a finished run, made of its description, its manifest and its locations.

The description holds the value of every choice that counts, so the file repeats the run when defaults are others by
then. The manifest says how the user spelled the options (runs of former versions say nothing of it), and
`locations.toml` where the files were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pcbench.catalog import GIVEN_SUITES
from pcbench.data.cifar import ARCHIVES
from pcbench.data.names import source_names
from pcbench.data.splits import is_split_name
from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.harness.origin import is_shipped_suite
from pcbench.harness.request import RunOptions
from pcbench.limits.text import parsed_toml
from pcbench.models.loading import model_facts
from pcbench.models.naming import CONVERTED
from pcbench.models.zoo import named_elsewhere, zoo_names
from pcbench.options import config_text, declared, with_places
from pcbench.plugins import find_plugin
from pcbench.results.directory import LOCATIONS, Run
from pcbench.results.run_spec import SPEC_VERSION, RunSpec
from pcbench.results.saved_suite import FOLDER as SAVED

_PLACEHOLDER = re.compile(r"<\w+>")
# Saved adversarial images bring what these options say.
_BROUGHT = ("suites", "data", "images", "leave_out", "corrupted", "epsilons")
_WEIGHTS = {"weights": "predictors_sha256", "backbone_weights": "backbone_sha256"}


def configuration(run: Run) -> str:
    """Return the configuration file that repeats a finished run: every option that counts, with its value.

    Where the run's `locations.toml` is missing, what stands for a folder is in angle brackets.

    Raises:
        DataError: `locations.toml` is damaged.
    """
    spelled: dict[str, Any] | None = run.manifest.get("options")
    values = _settings(run.spec) | dict(_images(run.spec)) | {"model": _model(run.spec)}
    values |= _weights(run.spec) if spelled is None else with_places(RunOptions, spelled, _placeholder)
    values |= _locations(run.folder / LOCATIONS)
    if values.get("adversarials") is not None:
        values = {name: value for name, value in values.items() if name not in _BROUGHT}
    return config_text(RunOptions, values, remarks=list(_remarks(run, values)))


def _remarks(run: Run, values: dict[str, Any]) -> Iterator[str]:
    yield "pcbench run --config FILE repeats this run."
    yield f"key {run.key}"
    if run.spec.version != SPEC_VERSION:
        yield "A former version of pcbench made this run: the repetition has another key."
    if any(_PLACEHOLDER.search(str(value)) for value in values.values()):
        yield "Replace what is in angle brackets: this was left out, or is an object of Python."


def _settings(spec: RunSpec) -> dict[str, Any]:
    known = declared(RunOptions)
    return {name: getattr(spec.settings, one.setting) for name, one in known.items() if one.setting is not None}


def _images(spec: RunSpec) -> Iterator[tuple[str, Any]]:
    """Yield what is measured and on which images."""
    if spec.data.name == SAVED:
        yield "adversarials", "<FOLDER>"
        return
    named = [suite.name for suite in spec.suites if suite.name not in GIVEN_SUITES.values()]
    yield "suites", [_placeholder(name) for name in named]
    yield "data", _source(spec.data.name, spec.data.split)
    yield "leave_out", spec.data.leave_out
    yield "corrupted", None if spec.data.corrupted is None else "<FOLDER>"
    counts = {suite.images for suite in spec.suites}
    # Suites on different numbers of images have theirs from their own definitions.
    if len(counts) == 1 and counts != {spec.data.available}:
        yield "images", counts.pop()


def _source(name: str, split: str) -> str:
    """Return the text of a data source whose name, with its split or folder, the description holds."""
    downloads = {archive.name: f"torchvision:{data}" for data, archive in ARCHIVES.items()}
    folders = {form.partition(":")[0]: ":" in form for form in source_names()}
    if find_plugin("data", name) is not None:
        return name if is_split_name(split) else f"{name}:<FOLDER>"
    if name not in folders:
        return downloads.get(name, _object(name))
    return f"{name}:<FOLDER>" if folders[name] else name


def _model(spec: RunSpec) -> str:
    name = str(spec.model.get("model") or spec.model["name"])
    if name.startswith("hf:"):
        return str(spec.model["backbone"])  # with the commit
    head, separator, backbone = name.partition(CONVERTED)
    if separator:
        return f"{_placeholder(f'{head}.toml')}@{backbone}"
    return name if named_elsewhere(name) or name in zoo_names() else _object(name)


def _weights(spec: RunSpec) -> dict[str, Any]:
    """Return what the description says of weights, with a placeholder for those that do not come with the model."""
    model, name = spec.model, _model(spec)
    given: dict[str, Any] = {option: model.get(option) for option in ("random_predictors", "ablation")}
    own: dict[str, Any] = {}
    if name in zoo_names():
        try:
            own = {**model_facts(name, timesteps=spec.settings.timesteps, **given).description}
        except UnknownNameError:
            raise
        except UsageError:
            pass  # its weights are not here: each is to be given
        given |= {option: "<FILE>" for option, field in _WEIGHTS.items() if model.get(field) != own.get(field)}
    return {**given, "model_version": model.get("model_version")}


def _locations(path: Path) -> dict[str, Any]:
    try:
        found = parsed_toml(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove it") from error
    options = found.get("options", {})
    if not isinstance(options, dict):
        raise DataError(f"{path}: `options` is not a table; remove it")
    named = cast("dict[str, Any]", options)
    return {name: value for name, value in named.items() if name in declared(RunOptions)}


def _placeholder(place: str) -> str:
    return place if is_shipped_suite(place) else f"<FOLDER>/{place}"


def _object(name: str) -> str:
    word = re.sub(r"\W", "_", name)
    return f"<{word}>"
