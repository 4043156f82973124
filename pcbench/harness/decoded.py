"""The images of a worker's last block, kept as they were decoded for the units that follow on the same block."""

from __future__ import annotations

from collections.abc import Iterator

from pcbench.data.image_source import Batch, ImageSource, Seen
from pcbench.harness.blocks import Block

MOST_BYTES = 256 << 20
"""A block whose decoded images take more is decoded for each of its units; 512 images of 224 px take 77 MB."""

_Key = tuple[str, tuple[str, ...], str, int]


class DecodedBlock:
    """The last block of images that was read to its end.

    Reading, decoding and resizing a photograph takes as long as corrupting it, and a block has as many units as a run
    has conditions. Whoever takes the images must not change them.

    Args:
        most_bytes: A block that takes more is not kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._key: _Key | None = None
        self._kept: list[Batch] = []

    def batches(self, source: ImageSource, block: Block, batch_size: int, seen: Seen) -> Iterator[Batch]:
        """Yield the images of a block, batch by batch, and keep them where they fit.

        Args:
            source: The list that the block is cut from.
            block: The block.
            batch_size: Images in a batch.
            seen: As for `ImageSource.batches`; it is not called for images that were kept.
        """
        key = (source.name, source.ids[block.start : block.stop], block.sha256, batch_size)
        if key == self._key:
            yield from self._kept
            return
        self._key, self._kept = None, []  # before others are decoded: no two blocks are held at a time
        kept: list[Batch] = []
        room = self._most_bytes
        for batch in source.batches(batch_size, range(block.start, block.stop), seen=seen):
            room -= batch.images.nbytes
            if room >= 0:
                kept.append(batch)
            else:
                kept.clear()
            yield batch
        if room >= 0:
            self._key, self._kept = key, kept

    def holds(self, source: ImageSource, block: Block, batch_size: int) -> bool:
        """Return whether the images of a block are kept."""
        return self._key == (source.name, source.ids[block.start : block.stop], block.sha256, batch_size)

    def forget(self) -> None:
        """Keep nothing: what was read was not what was planned."""
        self._key, self._kept = None, []
