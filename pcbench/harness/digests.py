"""The hashes of a run's images, read once when it is planned: its fingerprint, and what each block is compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.data.image_source import ImageSource
from pcbench.harness.suites import MeasuredSuite
from pcbench.results.conditions import Condition
from pcbench.results.schema import made_table

_Published = Mapping[tuple[str, str, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Digests:
    """Hashes of the stored bytes of the images that a run is on, of these alone."""

    source: ImageSource
    """These images, in the order of their data source."""
    rows: NDArray[np.uint8]
    """The sha256 of each, shape (images, 32)."""
    published: _Published
    """The same for the files of published suites, by suite, corruption and severity."""
    fingerprints: Mapping[tuple[str, str, int], str]
    """The fingerprint of each of these conditions."""
    whole: bool
    """Whether these are all images of the data source."""
    remarks: tuple[str, ...] = ()
    """What a reader of the numbers should know of the images, a sentence each."""

    @classmethod
    def read(
        cls, source: ImageSource, suites: Sequence[MeasuredSuite], severities: Sequence[int] | None = None
    ) -> Digests:
        """Read every image of the run once.

        Args:
            source: The images.
            suites: The run's suites.
            severities: Those that are measured; None where all are.

        Raises:
            DataError: A file is missing, truncated or not an image; it is named.
        """
        used = {name for suite in suites for name in suite.source.ids}
        indices = [index for index, name in enumerate(source.ids) if name in used]
        whole = len(indices) == len(source)
        chosen = source if whole else source.select(indices, source.subset)
        published: dict[tuple[str, str, int], NDArray[np.uint8]] = {}
        fingerprints: dict[tuple[str, str, int], str] = {}
        for suite in suites:
            if isinstance(suite.definition, CorruptionSuite) and suite.published is not None:
                for corruption in suite.definition.corruptions:
                    for severity in corruption.measured(severities):
                        files = suite.published.source(corruption.name, severity)
                        key = suite.name, corruption.name, severity
                        published[key] = files.digests()
                        fingerprints[key] = files.fingerprint(published[key])
        survey = chosen.survey()
        return cls(chosen, survey.digests, published, fingerprints, whole, survey.remarks)

    @property
    def fingerprint(self) -> str:
        """Hash over ids, labels, stored bytes and preprocessing of the images."""
        return self.source.fingerprint(self.rows)

    @property
    def corrupted(self) -> str | None:
        """Hash over all published files that are read; None where none are."""
        by_suite: dict[str, str] = {}
        for (suite, corruption, severity), fingerprint in self.fingerprints.items():
            by_suite[suite] = f"{by_suite.get(suite, '')}{corruption}:{severity}:{fingerprint}\n"
        return "+".join(hashlib.sha256(lines.encode()).hexdigest() for lines in by_suite.values()) or None

    def of(self, images: ImageSource) -> NDArray[np.uint8]:
        """Return the hashes of some of the images, in their order."""
        if images.ids == self.source.ids:
            return self.rows
        index_of = {name: index for index, name in enumerate(self.source.ids)}
        return self.rows[[index_of[name] for name in images.ids]]

    def of_condition(self, suite: MeasuredSuite, condition: Condition, images: ImageSource) -> NDArray[np.uint8]:
        """Return the hashes of what is read for a condition: published files, or the clean images."""
        key = (suite.name, condition.name, condition.severity or 0)
        return self.published[key] if key in self.published else self.of(images)

    def table(self) -> pa.Table:
        """Return the images with their labels and hashes, the table `images`."""
        hashes = [row.tobytes() for row in self.rows]
        return made_table("images", {"image_id": list(self.source.ids), "label": self.source.labels, "sha256": hashes})
