"""An image source: ids, labels and images that are decoded and preprocessed batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pcbench.data.channels import refuse_other_count, refuse_unlike
from pcbench.data.decoding import ImageFacts, decode_image, header_size, verify
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.selection import stratified_order
from pcbench.data.stores import ImageStore
from pcbench.errors import DamagedImageError, DataError, UsageError

Seen = Callable[[int, bytes], None]
"""Called with an image's index and the sha256 of what was read of it."""


@dataclass(frozen=True)
class Batch:
    """Images that are handled together, with their ids and labels."""

    ids: tuple[str, ...]
    """One id per image."""
    images: torch.Tensor
    """uint8 tensor, shape (batch, channels, height, width), 0 to 255."""
    labels: torch.Tensor
    """int64 tensor, shape (batch,)."""


@dataclass(frozen=True)
class Survey:
    """What one reading of all images gave."""

    digests: NDArray[np.uint8]
    """The sha256 of each image's stored bytes, shape (images, 32)."""
    remarks: tuple[str, ...]
    """What a reader of the numbers should know of the images, a sentence each."""


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Labelled images of one data set, or of a part of it.

    Only ids and labels are held in memory; images are read, decoded and preprocessed when a batch asks for them.

    Raises:
        DataError: There are no images, ids repeat, or ids and labels differ in number.
    """

    name: str
    """What tables and pages call the data, such as ``"digits:test"``."""
    ids: tuple[str, ...]
    """One id per image, unique. They seed the randomness of corruptions and attacks and pair the images of several
    runs, so they depend on the image alone, never on its index or on the other images."""
    labels: NDArray[np.int64]
    """Class of each image, shape (images,), int64."""
    store: ImageStore
    """Where the images lie."""
    preprocessing: Preprocessing
    """What is done to each image, once."""
    class_names: tuple[str, ...] | None = None
    """Names of all classes by label, or None where the data does not say."""
    classes: int | None = None
    """Number of classes of the data set; None where the data does not say."""
    subset: str | None = None
    """How a part of the data set was chosen, in words; None for the whole of it."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers must know about these images and labels, a sentence each."""
    labelled_split: str | None = None
    """Where all labels are -1: what to give instead, in words."""
    _positions: NDArray[np.int64] | None = None
    _stored_labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError(f"{self.name}: holds no images")
        if len(self.ids) != len(self.labels):
            raise DataError(f"{self.name}: {len(self.ids)} images but {len(self.labels)} labels")
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            repeated = next(name for name in self.ids if name in seen or seen.add(name))
            raise DataError(f"{self.name}: the image id {repeated!r} occurs more than once; ids must be unique")

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, indices: ArrayLike, *, seen: Seen | None = None) -> torch.Tensor:
        """Decode and preprocess some images.

        Args:
            indices: Indices of the images in `ids`, 0 to len - 1.
            seen: Called with each image's index and the sha256 of what was read of it. Who compares these with the
                hashes of `survey` knows the files to be whole: they are not searched for damage again.

        Returns:
            uint8 tensor, shape (batch, channels, height, width), 0 to 255.

        Raises:
            DamagedImageError: A file is damaged, truncated or not an image.
            DataError: An image cannot be measured, as when it is smaller than the crop, or sizes differ within the
                batch.
        """
        chosen = _as_indices(indices)
        images = [self._prepare(int(index), seen) for index in chosen]
        for index, image in zip(chosen, images, strict=True):
            if image.shape != images[0].shape:
                raise DataError(
                    f"{self._locate(int(index))}: is {_size(image)} px where another image of the batch is "
                    f"{_size(images[0])} px; images of different sizes need a model that states a crop, or resize=N "
                    "and crop=N"
                )
        return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())

    def batches(
        self, batch_size: int, indices: ArrayLike | None = None, *, seen: Seen | None = None
    ) -> Iterator[Batch]:
        """Yield the images in order, `batch_size` at a time; the last batch may be smaller.

        Args:
            batch_size: Images a batch, at least 1.
            indices: Indices of the images in `ids`; all of them by default.
            seen: As for `load`.

        Raises:
            UsageError: The batch size is smaller than 1.
            DataError: As `load`.
        """
        if batch_size < 1:
            raise UsageError(f"the batch size must be at least 1 (got {batch_size})")
        chosen = _as_indices(np.arange(len(self)) if indices is None else indices)
        for start in range(0, len(chosen), batch_size):
            part = chosen[start : start + batch_size]
            ids = tuple(self.ids[int(index)] for index in part)
            yield Batch(ids, self.load(part, seen=seen), torch.from_numpy(self.labels[part]))

    def size(self, index: int = 0) -> tuple[int, int]:
        """Return height and width of a prepared image, from its header alone: nothing is decoded.

        Raises:
            DataError: The file is missing or is not an image.
        """
        content = self.store.read(self._position(index))
        if isinstance(content, bytes):
            width, height = header_size(content, self._locate(index))
        else:
            height, width = content.shape[:2]
        return self.preprocessing.size_of(height, width)

    def shape(self) -> tuple[int, int, int]:
        """Return channels, height and width of a prepared image; see `size`."""
        return self.preprocessing.channels, *self.size()

    def digests(self) -> NDArray[np.uint8]:
        """Return the sha256 of each image's stored bytes, shape (images, 32); see `survey`."""
        return self.survey().digests

    def survey(self) -> Survey:
        """Read the bytes of every image once, and check on the way that each file is whole and may be measured.

        Raises:
            DamagedImageError: A file is damaged, truncated or not an image; it is named.
            DataError: A file is missing, or its image cannot be measured.
        """
        found = np.empty((len(self), 32), dtype=np.uint8)
        facts: list[ImageFacts] = []
        for index in range(len(self)):
            content, one = self._checked(index, decode=False)
            found[index] = np.frombuffer(_digest(content), dtype=np.uint8)
            facts.append(one)
        return Survey(found, tuple(self._remarks(facts)))

    def damaged(self) -> dict[str, str]:
        """Return the ids of the images whose files are damaged, truncated or no images, each with the reason.

        Raises:
            DataError: A file is missing, or its image cannot be measured for another reason.
        """
        found: dict[str, str] = {}
        for index, name in enumerate(self.ids):
            try:
                self._checked(index, decode=True)
            except DamagedImageError as error:
                # Without the place on this machine, which comes first, and the remedy.
                found[name] = str(error).removeprefix(f"{self._locate(index)}: ").partition("; ")[0]
        return found

    def _checked(self, index: int, *, decode: bool) -> tuple[bytes | NDArray[np.uint8], ImageFacts]:
        content, name = self.store.read(self._position(index)), self._locate(index)
        if isinstance(content, bytes):
            facts = verify(content, name, decode=decode)
            refuse_unlike(transparent=facts.transparent, channels=self.preprocessing.channels, name=name)
        else:
            height, width, count = content.shape
            refuse_other_count(count, self.preprocessing.channels, name)
            facts = ImageFacts(width, height, transparent=False, animated=False, grey=self._is_grey(content))
        self.preprocessing.refuse_size(facts.height, facts.width, name)
        return content, facts

    def _remarks(self, facts: Sequence[ImageFacts]) -> Iterator[str]:
        steps, whole = self.preprocessing, f"of {len(facts)} images"
        if steps.channels <= 2 and (colours := sum(not one.grey for one in facts)):
            yield f"{colours} {whole} are stored in colours and were made grey, 0.299 R + 0.587 G + 0.114 B (ITU-R 601)"
        if own := sum(steps.changes_own_size(one.height, one.width) for one in facts):
            yield (
                f"{own} {whole} had {steps.crop}x{steps.crop} px, the network's own size, and were resized to "
                f"{steps.resize} px and cropped all the same, as the model or `resize` states; resize=False "
                "leaves them as they are"
            )
        if steps.channels % 2 and (transparent := sum(one.transparent for one in facts)):
            yield f"{transparent} {whole} have an alpha channel or a transparent colour, which is dropped"
        if animated := sum(one.animated for one in facts):
            yield f"{animated} {whole} are files of several pictures: the first picture is measured"

    def fingerprint(self, digests: NDArray[np.uint8] | None = None) -> str:
        """Return the sha256 over ids, labels, stored bytes and preprocessing, as hexadecimal digits.

        The name, the place on disk and the order of storage do not count.

        Args:
            digests: What `digests` returned; None reads the images.

        Raises:
            DataError: As `digests`.
        """
        found = self.digests() if digests is None else digests
        whole = hashlib.sha256(self.preprocessing.as_text().encode())
        for name, label, digest in zip(self.ids, self.labels, found, strict=True):
            whole.update(f"\n{name}\n{label}\n".encode())
            whole.update(digest.tobytes())
        return whole.hexdigest()

    def noted(self, *sentences: str) -> ImageSource:
        """Return the same images with more notes."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *sentences))))

    def take(self, count: int, seed: int = 0) -> ImageSource:
        """Return a part of the images, spread evenly over the classes.

        The images are ordered by `stratified_order` with this seed and the first `count` of them are taken, so a
        larger count only adds images. They keep the order of the source.

        Args:
            count: Number of images, 1 to len.
            seed: Another seed gives another part.

        Raises:
            UsageError: There are fewer images than asked for, or the count is smaller than 1.
        """
        if not 1 <= count <= len(self):
            raise UsageError(f"{self.name} holds {len(self)} images; ask for 1 to {len(self)} (got {count})")
        if count == len(self):
            return self
        order = stratified_order(self.ids, self.labels, seed)
        words = f"{count} of {len(self)} images, spread over the classes, seed {seed}"
        return self.select(np.sort(order[:count]), words)

    def without(self, ids: Collection[str], words: str) -> ImageSource:
        """Return the images that are not among others, in the order of this source.

        Args:
            ids: The others, such as those that decided hyperparameters.
            words: What the rest is called in tables.

        Raises:
            DataError: None is left.
        """
        held = set(ids)
        rest = [index for index, name in enumerate(self.ids) if name not in held]
        return self.select(np.array(rest, dtype=np.int64), words)

    def select(self, indices: ArrayLike, subset: str | None) -> ImageSource:
        """Return the images at these indices, in this order.

        Args:
            indices: Indices of images in `ids`.
            subset: How they were chosen, in words, for tables; None where they are the whole data set.
        """
        chosen = _as_indices(indices)
        positions = chosen if self._positions is None else self._positions[chosen]
        return replace(
            self,
            ids=tuple(self.ids[int(index)] for index in chosen),
            labels=self.labels[chosen],
            subset=subset,
            _positions=positions,
            _stored_labels=self.stored_labels,
        )

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where in the store each image lies, shape (images,)."""
        return np.arange(len(self)) if self._positions is None else self._positions

    @property
    def stored_labels(self) -> NDArray[np.int64]:
        """The labels of all images of the store, in its order, also of those that are not among these."""
        return self.labels if self._stored_labels is None else self._stored_labels

    def _position(self, index: int) -> int:
        return index if self._positions is None else int(self._positions[index])

    def _locate(self, index: int) -> str:
        return self.store.locate(self._position(index))

    def _prepare(self, index: int, seen: Seen | None) -> NDArray[np.uint8]:
        content = self.store.read(self._position(index))
        if seen is not None:
            seen(index, _digest(content))
        name = self._locate(index)
        if isinstance(content, bytes):
            return self.preprocessing.apply(decode_image(content, name, verified=seen is not None), name)
        return self.preprocessing.apply(content, name)

    def _is_grey(self, content: NDArray[np.uint8]) -> bool:
        """Return whether pixels have no colours; where the network takes more than one channel nobody asks."""
        return self.preprocessing.channels > 1 or bool((content == content[..., :1]).all())


def _digest(content: bytes | NDArray[np.uint8]) -> bytes:
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    return hashlib.sha256(f"{content.shape}".encode() + content.tobytes()).digest()


def _as_indices(indices: ArrayLike) -> NDArray[np.int64]:
    return np.atleast_1d(np.asarray(indices, dtype=np.int64))


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
