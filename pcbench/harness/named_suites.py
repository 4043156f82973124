"""The suites that a run is asked for, before they are joined with images: by name, or of what is given by itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pcbench.attacks.definitions import AttackSuite
from pcbench.catalog import SuiteKind, suite_folder
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.harness.request import RunOptions
from pcbench.harness.suites import MeasuredSuite, fitting_folder, open_corrupted, read_definition, refuse_unfit
from pcbench.models.facts import ModelFacts


@dataclasses.dataclass(frozen=True)
class NamedSuite:
    """A suite that was asked for, read but not yet joined with images."""

    name: str
    """The suite's name, or its folder as the user gave it."""
    kind: SuiteKind
    folder: Path | None
    """Where it lies; None where it was made of what is given by itself."""
    definition: CorruptionSuite | AttackSuite

    @classmethod
    def given(cls, definition: CorruptionSuite | AttackSuite) -> NamedSuite:
        """Return a suite that was made of what is given by itself."""
        kind = "attacks" if isinstance(definition, AttackSuite) else "corruptions"
        return cls(definition.name, kind, None, definition)

    @classmethod
    def read(cls, name: str) -> NamedSuite:
        """Read a suite that is named in `suites`."""
        kind, folder = suite_folder(name)
        return cls(name, kind, folder, read_definition(kind, folder))

    def fitting(self, source: ImageSource) -> NamedSuite:
        """Return the variant of the suite that fits some images."""
        if self.folder is None:
            return self
        folder = fitting_folder(self.name, self.folder, source)
        if folder == self.folder:
            return self
        return NamedSuite(self.name, self.kind, folder, read_definition(self.kind, folder))

    def measured(self, source: ImageSource, request: RunOptions, facts: ModelFacts) -> MeasuredSuite:
        """Return the suite with the images that it is run on."""
        wanted, suite = request["images"], self.definition
        refuse_unfit(suite, facts, request)
        if isinstance(suite, AttackSuite):
            if wanted is None and suite.default_images is not None:
                wanted = min(suite.default_images, len(source))
            return MeasuredSuite(suite, _part(source, wanted))
        part = _part(source, wanted)
        if request["corrupted"] is not None and request["jpeg_quality"] is not None:
            raise UsageError(
                "published files are compressed already: `corrupted` and `jpeg_quality` exclude each other"
            )
        folder = None if request["corrupted"] is None else Path(request["corrupted"])
        subset = wanted is not None or part.subset is not None
        return MeasuredSuite(
            suite, part, open_corrupted(suite, folder, part, subset=subset, severities=request["severities"])
        )


def _part(source: ImageSource, images: int | None) -> ImageSource:
    return source if images is None else source.take(images)
