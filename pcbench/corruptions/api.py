"""The public entry to the corruptions: `corrupt`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch

from pcbench.arguments import LARGEST_SEED, a_word, public, whole_number
from pcbench.corruptions import randomness
from pcbench.corruptions.corruption import GREY_OR_COLOUR
from pcbench.corruptions.definitions import CorruptionDefinition
from pcbench.corruptions.digital import jpeg_round_trip
from pcbench.corruptions.engine import corrupt_batch
from pcbench.corruptions.given import corruption_of, find_corruption, own_corruption
from pcbench.corruptions.images import AnyImages, open_images
from pcbench.data.ids import as_ids
from pcbench.errors import UsageError

__all__ = ["Backend", "corrupt", "find_corruption", "own_corruption"]

Backend = Literal["fast", "reference"]


@public()
def corrupt(
    images: AnyImages,
    corruption: object,
    severity: int,
    *,
    seed: int = 0,
    ids: Iterable[object] | None = None,
    backend: Backend = "fast",
    jpeg_quality: int | None = None,
) -> AnyImages:
    """Corrupt images, each from its own seed.

    Args:
        images: A tensor (batch, channels, height, width), on the CPU or a GPU; an array of this shape or with channels
            last; one image as an array (height, width, channels) or as a Pillow image; or a list of images. Their
            values are uint8, or floating point in [0, 1]. Three channels are red, green and blue, one is grey; two and
            four may mean anything, and corruptions of colour refuse them.
        corruption: The name of one of ImageNet-C's 15 or extra four, at the constants for 224 px, or of one of another
            suite (``"cifar-10-c/fog"``), a definition or its file, or a function of the user's own: see
            `own_corruption`, by which its name and parameters are stated.
        severity: From 1: up to 5 for the published ones, up to 99 for a function.
        seed: The run's seed.
        ids: Names of the images, unique in their data set; None counts them from "0". They are compared as texts: 0,
            "0" and np.int64(0) name one image. An image's noise depends on seed, id, corruption and severity only,
            not on the rest of the batch.
        backend: `fast`, this package's own functions, or `reference`, the package imagecorruptions: far slower, at
            ImageNet-C's constants only, for images of at least 32 px.
        jpeg_quality: Also store each corrupted image as JPEG at this quality (1 to 100) and read it back; 85 is what
            ImageNet-C's files were published with. None leaves images as they are.

    Returns:
        Form, shape, type and device of `images`; Pillow images as RGB.

    Raises:
        UsageError: Unknown corruption, severity or backend; ids that do not fit; a corruption of colour for images of
            other channels.
        DataError: Images of another shape, type or range.
    """
    definition = corruption_of(corruption)
    severity = definition.severity(severity)
    seed = whole_number("seed", seed, low=-LARGEST_SEED, high=LARGEST_SEED)
    if jpeg_quality is not None:
        jpeg_quality = whole_number("jpeg_quality", jpeg_quality, low=1, high=100)
    a_word("backend", backend, get_args(Backend))
    opened = open_images(images)
    for batch in opened.batches:
        _refuse_channels(definition, batch.shape[1], stored=jpeg_quality is not None)
    names = iter(_image_names(opened.count, ids))
    results: list[torch.Tensor] = []
    for batch in opened.batches:
        own = list(itertools.islice(names, len(batch)))
        result = _corrupted(batch, definition, severity, seed=seed, ids=own, backend=backend)
        results.append(result if jpeg_quality is None else _stored(result, jpeg_quality))
    return opened.restored(results)


def _refuse_channels(definition: CorruptionDefinition, channels: int, *, stored: bool) -> None:
    if not definition.takes(channels):
        made = "grey or colour images (1 or 3 channels)" if definition.takes(1) else "colour images (3 channels)"
        raise UsageError(f"{definition.name} is made for {made}, not for images of {channels}")
    if stored and channels not in GREY_OR_COLOUR:
        raise UsageError(f"a JPEG has 1 or 3 channels, not {channels}; leave `jpeg_quality` out")


def _corrupted(
    images: torch.Tensor,
    definition: CorruptionDefinition,
    severity: int,
    *,
    seed: int,
    ids: Sequence[str],
    backend: Backend,
) -> torch.Tensor:
    if backend == "reference":
        # Imported here: it loads scikit-image and a copy of imagecorruptions, which few runs need.
        from pcbench.corruptions.imagecorruptions_backend import corrupt_by_imagecorruptions

        return corrupt_by_imagecorruptions(images, definition, severity, seed=seed, ids=ids)
    corruption = definition.at(severity)
    drawn_for = ids if corruption.is_random else ()
    generators = [randomness.corruption_generator(seed, name, definition.name, severity) for name in drawn_for]
    return corrupt_batch(images, corruption, generators)


def _image_names(count: int, ids: Iterable[object] | None) -> Sequence[str]:
    if ids is None:
        return [str(index) for index in range(count)]
    names = as_ids([ids] if isinstance(ids, str) else ids)
    if len(names) != count:
        raise UsageError(f"{count} images need as many ids, not {len(names)}")
    return names


def _stored(images: torch.Tensor, quality: int) -> torch.Tensor:
    if images.dtype == torch.uint8:
        return jpeg_round_trip(images, quality)
    return (jpeg_round_trip(images.float() * 255, quality).float() / 255).to(images.dtype)
