"""What divides the corruption errors of each suite of a run: its own baseline, or the one that the user gave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pcbench.corruptions.definitions import Baseline, CorruptionSuite, load_corruption_suite, read_baseline
from pcbench.errors import UsageError
from pcbench.harness.locations import Locations
from pcbench.results.divisor import Divisor, divisor
from pcbench.results.run_spec import RunSpec, SuiteSpec
from pcbench.results.saved_suite import FOLDER as ADVERSARIALS


def divisors_of(spec: RunSpec, locations: Locations, images: pa.Table) -> dict[str, Divisor]:
    """Return what divides the corruption errors of each suite of corruptions.

    Args:
        spec: What is run.
        locations: Where its suites lie, and the baseline that the user gave.
        images: The images of the run, as the table `images`.

    Raises:
        UsageError: A definition is broken, or the given baseline is of other corruptions or other images.
    """
    found: dict[str, Divisor] = {}
    given = False
    for suite, definition in _suites(spec, locations):
        baseline = None if definition is None else definition.baseline
        if definition is not None and locations.baseline is not None:
            own = read_baseline(locations.baseline, definition.corruptions)
            if _is_for(own, suite, definition):
                baseline, given = own, True
        found[suite.name] = divisor(baseline, suite, spec, images)
        reason = found[suite.name].reason
        if reason is not None and definition is not None and baseline is not definition.baseline:
            raise UsageError(f"{locations.baseline}: {reason}")
    if locations.baseline is not None and not given:
        raise UsageError(
            f"{locations.baseline}: is of other corruptions than those of this run; give the baseline of a run of the "
            "same suite, or leave `baseline` out"
        )
    return found


def given_baseline(suite: SuiteSpec, locations: Locations) -> bytes | None:
    """Return the file of the baseline that the user gave for a suite; None where there is none."""
    path: Path | None = locations.baseline
    if path is None or suite.kind != "corruptions":
        return None
    definition = load_corruption_suite(locations.suite(suite.name))
    return path.read_bytes() if _is_for(read_baseline(path, definition.corruptions), suite, definition) else None


def _suites(spec: RunSpec, locations: Locations) -> Iterator[tuple[SuiteSpec, CorruptionSuite | None]]:
    """Yield the suites of corruptions; without its definition one of what is given by itself, which has no baseline."""
    for suite in () if spec.data.name == ADVERSARIALS else spec.suites:
        if suite.kind == "corruptions":
            folder = dict(locations.suites).get(suite.name)
            yield suite, None if folder is None else load_corruption_suite(folder)


def _is_for(baseline: Baseline, suite: SuiteSpec, definition: CorruptionSuite) -> bool:
    if baseline.images is not None:
        return baseline.images.suite_sha256 == suite.sha256
    return any(corruption.name in baseline.errors for corruption in definition.corruptions)
