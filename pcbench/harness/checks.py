"""In which form the gradients of a run's attacks are checked."""

from __future__ import annotations

from collections.abc import Sequence

from pcbench.attacks.definitions import AttackSuite
from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.harness.context import CHECKED_IMAGES, FEW_CHECKED_IMAGES
from pcbench.harness.request import RunOptions
from pcbench.harness.suites import MeasuredSuite, is_subset
from pcbench.harness.units import can_be_checked
from pcbench.results.run_spec import Checks


def chosen_checks(request: RunOptions, suites: Sequence[MeasuredSuite], source: ImageSource) -> Checks:
    """Return how gradients are checked: as asked for, else in full on all images, or on a suite's own number."""
    able = [suite for suite in suites if can_be_checked(suite)]
    if request["checks"] and not able:
        raise UsageError("checks=True needs a suite with an untargeted iterative white-box attack, such as linf")
    if request["checks"] is not None:
        return request["checks"]
    whole = [len(suite.source) for suite in able if not is_subset(suite, source, None)]
    own = [len(suite.source) for suite in able if _is_own_number(suite, request)]
    if max(whole, default=0) >= CHECKED_IMAGES or max(own, default=0) >= FEW_CHECKED_IMAGES:
        return True
    return "cheap" if any(isinstance(suite.definition, AttackSuite) for suite in suites) else False


def _is_own_number(suite: MeasuredSuite, request: RunOptions) -> bool:
    definition = suite.definition
    return request["images"] is None and isinstance(definition, AttackSuite) and definition.default_images is not None
