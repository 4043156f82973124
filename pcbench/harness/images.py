"""The images of a run: the same for its plan and for every worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcbench.data.image_hashes import image_hashes, without_hashes
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import check_source, open_source
from pcbench.data.unlabelled import open_unlabelled
from pcbench.errors import DataError, UsageError
from pcbench.harness.request import TUNED, RunOptions
from pcbench.models.facts import ModelFacts
from pcbench.models.loading import tuned_hashes
from pcbench.results.run_spec import DataSpec

_LISTED = 20
"""How many damaged files a note names."""


@dataclass(frozen=True)
class ChosenImages:
    """The images that a request is about, before a suite takes a part of them."""

    source: ImageSource
    """The images."""
    opened: ImageSource
    """All images of the data, from which they were chosen."""
    damaged: tuple[str, ...] = ()
    """Ids of the images that were left out because their files are damaged."""


def choose_images(data: Any, request: RunOptions, facts: ModelFacts, *, labelled: bool = True) -> ChosenImages:
    """Open the images that a request names, and leave out those that it does not want.

    Args:
        data: A text or an object, as `pcbench.data.sources.open_source` takes it.
        request: What is asked for.
        facts: What is known of the network.
        labelled: Whether their labels are asked for, so that they have to be the network's.

    Raises:
        DataError: They are missing, or do not belong to the network.
        UsageError: None are left.
    """
    steps = facts.preprocessing.of_size(request["resize"], request["crop"])
    opened, source = _opened(data, steps, facts, request["images"], labelled=labelled)
    damaged = opened.damaged() if request["skip_damaged"] else {}
    hashes = tuned_hashes(request["model"], facts, request["configuration"])
    source = _without_tuned(_without_damaged(source, damaged), request["leave_out"], hashes)
    if damaged:
        source = source.noted(_left_out(damaged))
    return ChosenImages(source, opened, tuple(damaged))


def _left_out(damaged: Mapping[str, str]) -> str:
    listed = [f"{name} {problem}" for name, problem in list(damaged.items())[:_LISTED]]
    more = [f"{len(damaged) - _LISTED} more, which the manifest lists"] if len(damaged) > _LISTED else []
    files = "file" if len(damaged) == 1 else "files"
    return f"LEFT OUT: {len(damaged)} damaged image {files}: {'; '.join([*listed, *more])}"


def _opened(
    data: Any, steps: Preprocessing, facts: ModelFacts, count: int | None, *, labelled: bool
) -> tuple[ImageSource, ImageSource]:
    """Return the images as they are, and with labels that are the network's."""
    if not labelled:
        opened = open_unlabelled(data, preprocessing=steps, count=count)
        return opened, opened
    opened = open_source(data, preprocessing=steps, split="test", count=count)
    return opened, check_source(opened, classes=facts.classes, class_names=facts.class_names)


def tuned_note(request: RunOptions, facts: ModelFacts, rows: NDArray[np.uint8]) -> str | None:
    """Return the note that marks tables of images that the model was tuned on; None where it was tuned on none.

    Args:
        request: What is asked for.
        facts: What is known of the network.
        rows: The sha256 of each image's stored bytes, shape (images, 32).

    Raises:
        UsageError: There are such images, and the request does not allow it.
    """
    from pcbench.metrics.marks import TUNED_ON  # with pandas, which is needed at a run's end

    hashes = tuned_hashes(request["model"], facts, request["configuration"])
    shared = sum(one in hashes for one in image_hashes(rows)) if hashes else 0
    if not shared:
        return None
    what = f"β, λ and α of {facts.name} were tuned on {shared} of the {len(rows)} images that are measured"
    if not request["allow_tuned_images"]:
        raise UsageError(
            f"{what}: give leave_out={TUNED!r} to measure the others, or allow_tuned_images=True for tables that say so"
        )
    return f"{TUNED_ON.upper()}: {what}; numbers on them are too good"


def images_again(
    data: Any, facts: ModelFacts, stated: DataSpec, *, hashes: frozenset[str], labelled: bool = True
) -> ImageSource:
    """Open the images of a planned run.

    Args:
        data: Where they lie here.
        facts: What is known of the network.
        stated: What the plan says of them.
        hashes: Of the images that the network was tuned on.
        labelled: Whether their labels are asked for.

    Raises:
        UsageError: They cannot be opened here.
    """
    sizes = {name: stated.preprocessing[name] for name in ("resize", "crop")}
    steps = dataclasses.replace(facts.preprocessing, **sizes)
    _, source = _opened(data, steps, facts, None, labelled=labelled)
    return _without_tuned(_without_damaged(source, stated.damaged), stated.leave_out, hashes)


def _without_tuned(source: ImageSource, leave_out: str | None, hashes: frozenset[str]) -> ImageSource:
    """Return the images that tuning did not see.

    Args:
        source: All images.
        leave_out: How many were tuned on, and the seed by which they were chosen: ``"1000"`` or ``"1000:3"``; or
            ``"tuned"``.
        hashes: Of the images that the network was tuned on, which that one stands for.

    Raises:
        UsageError: Nothing is left.
    """
    if leave_out is None:
        return source
    if leave_out == TUNED:
        if not hashes:
            raise UsageError("no configuration of this model says which images it was tuned on: leave `leave_out` out")
        return without_hashes(source, hashes, "the images that tuning did not see")
    count, _, seed = leave_out.partition(":")
    if int(count) >= len(source):
        raise UsageError(f"{source.name} holds {len(source)} images; leaving out {count} leaves no image to measure")
    taken = source.take(int(count), int(seed or 0))
    rest = len(source) - len(taken)
    return source.without(taken.ids, f"the {rest} images that tuning on {count} (seed {seed or 0}) did not see")


def _without_damaged(source: ImageSource, damaged: Collection[str]) -> ImageSource:
    """Return the images whose files are whole.

    Args:
        source: All images.
        damaged: Ids of the others.

    Raises:
        DataError: There are no others.
    """
    if not damaged:
        return source
    whole = len(source) - len(damaged)
    if not whole:
        raise DataError(f"{source.name}: all of its {len(source)} image files are damaged; fetch them again")
    return source.without(damaged, f"the {whole} of {len(source)} images whose files are whole")
