"""The public entry to the corruptions: `corrupt`, and the noise that is added after normalisation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch

from pcbench.arguments import LARGEST_SEED, a_word, public, shown, whole_number
from pcbench.corruptions import randomness
from pcbench.corruptions.definitions import CorruptionDefinition
from pcbench.corruptions.digital import jpeg_round_trip
from pcbench.corruptions.engine import corrupt_batch
from pcbench.corruptions.imagenet import imagenet_definition
from pcbench.corruptions.images import AnyImages, open_images
from pcbench.corruptions.noise import GaussianNoise
from pcbench.data.ids import as_ids
from pcbench.errors import UsageError

Backend = Literal["fast", "reference"]


@public()
def corrupt(
    images: AnyImages,
    corruption: str | CorruptionDefinition,
    severity: int,
    *,
    seed: int = 0,
    ids: Iterable[object] | None = None,
    backend: Backend = "fast",
    jpeg_quality: int | None = None,
) -> AnyImages:
    """Corrupt images, each from its own seed.

    Args:
        images: A tensor (batch, 3, height, width), on the CPU or a GPU; an array of this shape or with channels last;
            one image as an array (height, width, 3) or as a Pillow image; or a list of images. Their values are uint8,
            or floating point in [0, 1].
        corruption: A definition, or the name of one of ImageNet-C's 15 or extra four, at the constants for 224 px.
        severity: 1 to 5.
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
        UsageError: Unknown corruption, severity or backend; ids that do not fit.
        DataError: Images of another shape, type or range.
    """
    definition = _definition(corruption)
    severity = definition.severity(severity)
    seed = whole_number("seed", seed, low=-LARGEST_SEED, high=LARGEST_SEED)
    if jpeg_quality is not None:
        jpeg_quality = whole_number("jpeg_quality", jpeg_quality, low=1, high=100)
    a_word("backend", backend, get_args(Backend))
    opened = open_images(images)
    names = iter(_image_names(opened.count, ids))
    results: list[torch.Tensor] = []
    for batch in opened.batches:
        own = list(itertools.islice(names, len(batch)))
        result = _corrupted(batch, definition, severity, seed=seed, ids=own, backend=backend)
        results.append(result if jpeg_quality is None else _stored(result, jpeg_quality))
    return opened.restored(results)


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
    generators = [randomness.corruption_generator(seed, name, definition.name, severity) for name in ids]
    return corrupt_batch(images, definition.at(severity), generators)


def network_input_noise(
    definition: CorruptionDefinition, severity: int, shape: Sequence[int], *, seed: int, ids: Iterable[object]
) -> torch.Tensor:
    """Draw the noise of a suite that is applied to the network's input, after normalisation and without clipping.

    Args:
        definition: A corruption of a suite whose `applied_to` is not `pixels`; its function is `gaussian_noise`, its
            standard deviation is in units of the normalised input.
        severity: 1 to 5.
        shape: (batch, 3, height, width).
        seed: The run's seed.
        ids: Names of the images.

    Returns:
        `shape`, float32 on the CPU: add it to the normalised images.

    Raises:
        UsageError: Another function than `gaussian_noise`, or a shape that does not fit the ids.
    """
    function = _input_noise(definition, severity)
    names = as_ids(ids)
    if len(shape) != 4 or shape[1] != 3 or shape[0] != len(names):
        raise UsageError(
            f"the noise for {len(names)} images has the shape ({len(names)}, 3, height, width), not {tuple(shape)}"
        )
    drawn = [
        torch.from_numpy(function.draw(generator, shape[2], shape[3])[0])
        for generator in (randomness.corruption_generator(seed, name, definition.name, severity) for name in names)
    ]
    return torch.stack(drawn) * function.standard_deviation


def input_noise_deviation(definition: CorruptionDefinition, severity: int) -> float:
    """Return the standard deviation of `network_input_noise`, in units of the normalised input.

    Raises:
        UsageError: Another function than `gaussian_noise`.
    """
    return float(_input_noise(definition, severity).standard_deviation)


def _input_noise(definition: CorruptionDefinition, severity: int) -> GaussianNoise:
    function = definition.at(severity)
    if not isinstance(function, GaussianNoise):
        raise UsageError(f"only gaussian_noise can be added to a network's input, not {definition.function}")
    return function


def _definition(corruption: object) -> CorruptionDefinition:
    if isinstance(corruption, CorruptionDefinition):
        return corruption
    if not isinstance(corruption, str):
        raise UsageError(f"a corruption is a name, such as 'fog', or a CorruptionDefinition (got {shown(corruption)})")
    return imagenet_definition(corruption)


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
