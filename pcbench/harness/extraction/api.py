"""The entry to an extraction."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from typing_extensions import Unpack

from pcbench.arguments import public, with_first
from pcbench.harness.extraction.options import ExtractOptions, extraction_from
from pcbench.harness.request import Model
from pcbench.harness.start import start

if TYPE_CHECKING:
    from pcbench.results.extraction import Extraction


@public(ExtractOptions)
def extract(of_model: Model | None = None, /, **options: Unpack[ExtractOptions]) -> Extraction:
    """Write the values inside a network at every timestep to files: one array a layer, with the ids of the images.

    Args:
        of_model: The option `model`, which may be given without its name.
        **options: The options of `pcbench extract`; docs/reference/options.md lists them. `data` needs no labels.

    Returns:
        The finished extraction: `extraction.array("representations/1")` is (images, timesteps, channels, height,
        width), `extraction.ids` are the images. With `shard`, the finished `pcbench.results.shard.Shard`.

    Raises:
        UsageError: The request is wrong or impossible, such as one that does not fit the disk; nothing was computed.
        RunError: The work failed; its finished units are kept for the next try.
    """
    return cast("Extraction", start(extraction_from(with_first(options, of_model))))
