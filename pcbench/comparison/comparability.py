"""Whether two runs can be compared: the fields that must agree, and those whose difference is reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pcbench.errors import UsageError
from pcbench.results.run_spec import RunSpec, SpecDifference, SuiteSpec, differences

# Settings that make other images of the same files, and so another benchmark.
_IMAGE_SETTINGS = ("jpeg_quality",)


def require_same_images(first: RunSpec, second: RunSpec, suites: Sequence[str], names: tuple[str, str]) -> None:
    """Refuse two runs whose images or preprocessing differ.

    Args:
        first: The first run's description.
        second: The second's.
        suites: The suites that are to be compared.
        names: What the two are called in the message.

    Raises:
        UsageError: They cannot be compared; the message names every field that differs.
    """
    differing = [difference for difference in _fatal(first, second, suites) if difference.first != difference.second]
    if differing:
        raise UsageError(
            f"{names[0]} and {names[1]} cannot be compared: {'; '.join(map(str, differing))}; "
            "compare runs on the same images, with the same preprocessing, suite versions and severities"
        )


def other_differences(first: RunSpec, second: RunSpec) -> list[SpecDifference]:
    """Return every field that differs between two descriptions, except the suites.

    Descriptions of version 1 have fewer fields, and some in another form. A field that only one of the two has does
    not count as different.
    """
    # What the images are known as decides over baselines alone, which accuracies do not need.
    left_out: dict[str, Any] = {"suites": True, "version": True, "data": {"data_set"}}
    tables = [spec.model_dump(mode="json", exclude=left_out) for spec in (first, second)]
    if first.version != second.version:
        for table in tables:
            table["data"] = {k: v for k, v in table["data"].items() if k not in ("fingerprint", "former_fingerprint")}
            table["settings"].pop("block_size")
            # The libraries that a run uses are listed now, not all that are installed.
            common = first.versions.keys() & second.versions.keys()
            table["versions"] = {name: table["versions"][name] for name in sorted(common)}
            table["model"] = {name: value for name, value in table["model"].items() if value is not None}
    return differences(*tables)


def _fatal(first: RunSpec, second: RunSpec, suites: Sequence[str]) -> Iterator[SpecDifference]:
    yield SpecDifference("data.preprocessing", first.data.preprocessing, second.data.preprocessing)
    if first.data.preprocessing == second.data.preprocessing and not _same_images(first, second):
        yield SpecDifference("data.fingerprint", _fingerprint(first), _fingerprint(second))
    yield SpecDifference("data.corrupted", first.data.corrupted, second.data.corrupted)
    for name in _IMAGE_SETTINGS:
        yield SpecDifference(f"settings.{name}", getattr(first.settings, name), getattr(second.settings, name))
    if any(suite.name in suites and suite.kind == "corruptions" for suite in first.suites):
        yield SpecDifference("settings.severities", first.settings.severities, second.settings.severities)
    specs = [{suite.name: suite for suite in spec.suites} for spec in (first, second)]
    for name in suites:
        one, other = (spec.get(name) for spec in specs)
        if one is None or other is None:
            yield SpecDifference(f"suite {name}", *("run" if suite else "not run" for suite in (one, other)))
            continue
        yield from _suite(name, one, other)


def _suite(name: str, one: SuiteSpec, other: SuiteSpec) -> Iterator[SpecDifference]:
    fields = ["kind", "version"]
    # A rule that needs the network keeps a number of images that only specs of version 1 hold.
    fields += ["images"] if one.rule is None and other.rule is None else []
    for field in fields:
        yield SpecDifference(f"suite {name} {field}", getattr(one, field), getattr(other, field))
    same_files = one.former_sha256 is not None and one.former_sha256 == other.former_sha256
    if not same_files:
        yield SpecDifference(f"suite {name} sha256", one.sha256, other.sha256)


def _same_images(first: RunSpec, second: RunSpec) -> bool:
    """Return whether two runs are on the same images, as far as their descriptions show.

    Version 1 hashed all images of the source, also where a run was on a part of them. Such a run and a later one on a
    part are compared by the images' ids alone, when their outcomes are read.
    """
    one, other = ({data.fingerprint, data.former_fingerprint} - {None, ""} for data in (first.data, second.data))
    if one & other:
        return True
    return {first.version, second.version} == {1, 2} and not (_whole(first) and _whole(second))


def _whole(spec: RunSpec) -> bool:
    return spec.data.fingerprint != "" and spec.data.former_fingerprint is not None


def _fingerprint(spec: RunSpec) -> str:
    return spec.data.fingerprint or str(spec.data.former_fingerprint)
