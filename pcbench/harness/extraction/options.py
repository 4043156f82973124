"""The declaration of the options of an extraction: those of a run that are not about measuring, and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeGuard

from annotated_types import Ge, Le

from pcbench.harness.request import RunOptions, request_from
from pcbench.options import Option, leaving_out, resolved

_WHAT = "What is written"
LARGEST_PROJECTION = 1_000_000


@leaving_out(
    *("suites", "stochastic", "epsilons", "gradient", "plain_sweep", "bracketing", "checks", "save_adversarials"),
    *("attacks", "corruptions", "attacked_timesteps", "severities"),
    *("adversarials", "backend", "corrupted", "baseline", "jpeg_quality", "precision", "compiled", "recompute"),
    *("spec", "allow_missing", "report", "figures", "on_result"),
)
class ExtractOptions(RunOptions, total=False):
    """The options of `pcbench extract`."""

    keep: Annotated[
        Sequence[str],
        Option(
            "representations, predictions, errors, logits, or a module's name; may be repeated.",
            _WHAT,
            ("representations",),
            flags=("--keep", "-k"),
        ),
    ]
    """Of all PCoders, or of one, counted from 1: `representations:2`. Modules are those of the backbone, blocks and
    containers too: `layer2`, `layer3.0`. The logits are always written."""
    pool: Annotated[
        Literal["mean", "max", "mean_square"] | None,
        Option("Pool over height and width: mean, max or mean-square.", _WHAT),
    ]
    """Values without height and width stay as they are."""
    project: Annotated[
        int | None,
        Ge(1),
        Le(LARGEST_PROJECTION),
        Option("Project each layer to so many numbers, by random signs.", _WHAT),
    ]
    """After pooling, by a sparse random matrix that depends on `seed` and the sizes alone. Layers that have no more
    numbers stay as they are."""
    dtype: Annotated[Literal["float32", "float16"], Option("float32 or float16.", _WHAT, "float32")]
    """A value that float16 cannot hold is an error."""
    format: Annotated[Literal["npy", "hdf5"], Option("npy, one file a layer, or hdf5 (needs h5py).", _WHAT, "npy")]
    """HDF5 is one file, with a dataset for each layer."""


def extraction_from(options: Mapping[str, Any]) -> ExtractOptions:
    """Return the values of all options of an extraction: those that are given, checked, and the defaults of the others.

    Raises:
        UnknownNameError: There is no such option; the message suggests the nearest one.
        UsageError: A value is not one that an extraction can have.
    """
    own = resolved(ExtractOptions, options)
    shared = request_from({name: own[name] for name in options if name in RunOptions.__annotations__})
    return {**own, **shared}


def is_extraction(request: RunOptions) -> TypeGuard[ExtractOptions]:
    """Return whether what is asked for is an extraction."""
    return "keep" in request
