"""The suites that a run measures, read and joined with images: the same by a plan and by every worker."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcbench.attacks.definitions import AttackSuite, load_attack_suite
from pcbench.catalog import SuiteKind, variant_folders
from pcbench.corruptions.corruption import GREY_OR_COLOUR
from pcbench.corruptions.definitions import CorruptionSuite, load_corruption_suite
from pcbench.corruptions.images import MOST_CHANNELS
from pcbench.corruptions.own import ONLY_PUBLISHED
from pcbench.data.data_set import DataSet
from pcbench.data.image_source import ImageSource
from pcbench.data.published import PublishedFiles, open_published
from pcbench.errors import UsageError
from pcbench.harness.request import RunOptions
from pcbench.models.facts import ModelFacts
from pcbench.results.run_spec import ExtractionSpec
from pcbench.results.saved_suite import SavedSuite

SuiteDefinition = CorruptionSuite | AttackSuite | SavedSuite | ExtractionSpec
_USED_BY = (
    (AttackSuite, "attacks", ("epsilons", "plain_sweep", "save_adversarials", "attacked_timesteps")),
    (CorruptionSuite, "corruptions", ("corrupted", "jpeg_quality", "baseline", "severities")),
)
RULE = "correct_at_every_timestep"
_SMALL_IMAGES, _SMALL = "small-images", 64
"""A variant's name, and the longest side of such images in pixels."""


@dataclass(frozen=True)
class MeasuredSuite:
    """A suite and the images that it is run on; what an extraction writes, and its images, are one as well."""

    definition: SuiteDefinition
    """What is done to the images."""
    source: ImageSource
    """The images, before a rule that needs the network."""
    published: PublishedFiles | None = None
    """Published corrupted files of the same images, where these are read instead of made."""

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.definition.name

    @property
    def rule(self) -> str | None:
        """The rule by which the network's answers choose among the images; None where all count."""
        return RULE if isinstance(self.definition, AttackSuite) and self.definition.images == RULE else None


def read_definition(kind: SuiteKind, folder: Path) -> CorruptionSuite | AttackSuite:
    """Read a suite's folder.

    Raises:
        DefinitionError: A file in it is missing or broken.
    """
    return load_corruption_suite(folder) if kind == "corruptions" else load_attack_suite(folder)


def fitting_folder(name: str, folder: Path, source: ImageSource) -> Path:
    """Return the folder of the variant of a suite that fits some images.

    A suite of the catalogue may hold other levels for small images, other than the digits, in `small-images`; a folder
    that the user gives is taken as it is.

    Args:
        name: The suite as the user named it.
        folder: Its own folder.
        source: The images, as the network takes them.
    """
    variant = folder / _SMALL_IMAGES / folder.name
    small = max(source.size()) <= _SMALL and source.name.partition(":")[0] != "digits"
    return variant if small and name == folder.name and variant in variant_folders(folder) else folder


def list_sha256(source: ImageSource) -> str:
    """Return a hash over the ids and labels of images, in their order; their bytes do not count."""
    digest = hashlib.sha256()
    for name, label in zip(source.ids, source.labels.tolist(), strict=True):
        digest.update(f"{len(name)}:{name}{label}\n".encode())
    return digest.hexdigest()


def refuse_unused(request: RunOptions, definitions: Sequence[object]) -> None:
    """Refuse options that no suite of the run uses.

    Args:
        request: What is asked for.
        definitions: Of the suites; none while they are not known.

    Raises:
        UsageError: An option is about attacks or corruptions, and there are none.
    """
    for kind, what, options in _USED_BY:
        given = [name for name in options if request[name]]
        if definitions and given and not any(isinstance(one, kind) for one in definitions):
            raise UsageError(f"`{given[0]}` is about {what}, and no suite of this run has any; leave `{given[0]}` out")


def is_subset(suite: MeasuredSuite, source: ImageSource, data_set: DataSet | None) -> bool:
    """Return whether a suite is run on fewer images than its data set, or than it was published with.

    Args:
        suite: The suite with its images.
        source: The images of the run.
        data_set: Which data set they are of; of other images than the published ones the suite has no number.
    """
    definition = suite.definition
    layout = definition.published if isinstance(definition, CorruptionSuite) else None
    if isinstance(definition, CorruptionSuite) and definition.data == "imagenet" and data_set != "imagenet":
        layout = None
    part = len(suite.source) < len(source) or suite.source.subset is not None or suite.rule is not None
    return part or (layout is not None and len(suite.source) < layout.images)


def open_corrupted(
    suite: CorruptionSuite,
    folder: Path | None,
    clean: ImageSource,
    *,
    subset: bool,
    severities: Sequence[int] | None = None,
) -> PublishedFiles | None:
    """Return the published corrupted files of some clean images; None where no folder is given.

    Args:
        suite: The corruptions.
        folder: Where the files are.
        clean: The images.
        subset: Whether these may be fewer than were published.
        severities: Those that are measured, whose folders must be there; None where all are. An array holds all.

    Raises:
        UsageError: The suite was never published as files, or there are files alone.
        DataError: The files are not as they were published.
    """
    if folder is None:
        if any(corruption.function == ONLY_PUBLISHED for corruption in suite.corruptions):
            raise UsageError(f"{suite.name} is published as files, and cannot be made here; give them with `corrupted`")
        return None
    if suite.published is None:
        raise UsageError(f"{suite.name} was never published as files; leave out `corrupted` to make its images here")
    needed = None if suite.published.files == "arrays" else severities
    opened = open_published(
        suite.name,
        suite.published,
        folder,
        corruptions={corruption.name: corruption.measured(needed) for corruption in suite.corruptions},
        preprocessing=clean.preprocessing,
        subset=subset,
    )
    return opened.align(clean)


def refuse_unfit(suite: CorruptionSuite | AttackSuite, facts: ModelFacts, request: RunOptions) -> None:
    """Refuse a suite that a network is not made for.

    Raises:
        UsageError: It measures inner states, and the model is not plainly a predictive network; or it adds noise after
            normalisation, and the model states none; or what it does is for colours, and the network takes other
            channels.
    """
    if isinstance(suite, AttackSuite):
        coloured = [attack.name for attack in suite.attacks if attack.colours_only]
        if coloured and facts.preprocessing.channels != 3:
            raise UsageError(_unfit(coloured, suite, facts, "colours"))
        return
    if suite.applied_to == "pixels" and request["corrupted"] is None:
        _refuse_channels(suite, facts, request)
    plain = request["precision"] == "float32" and not request["compiled"] and request["stochastic"] is None
    if suite.applied_to == "representations" and not (facts.predictive and plain):
        raise UsageError(
            f"the suite {suite.name} needs a predictive network, in float32, not compiled and not stochastic; "
            f"{facts.name} is not"
        )
    if suite.applied_to == "network_input" and not facts.states_normalisation:
        raise UsageError(
            f"the suite {suite.name} adds noise after normalisation, and {facts.name} states none: give it attributes "
            "mean and std, one number a channel (0 and 1 for none), by which pcbench normalises, or measure "
            "corruptions of images, such as imagenet-c"
        )


def _refuse_channels(suite: CorruptionSuite, facts: ModelFacts, request: RunOptions) -> None:
    """Refuse corruptions that have no meaning for the channels of a network's images.

    Raises:
        UsageError: The suite has such corruptions, or images are also to be stored or corrupted by what knows colours
            alone.
    """
    channels = facts.preprocessing.channels
    images = _images(facts)
    if channels > MOST_CHANNELS:
        raise UsageError(f"{images}; those of at most {MOST_CHANNELS} can be corrupted: leave {suite.name} out")
    if request["backend"] == "reference" and channels != 3:
        raise UsageError(f"{images}, and imagecorruptions makes colour images; leave `backend` out")
    if request["jpeg_quality"] is not None and channels not in GREY_OR_COLOUR:
        raise UsageError(f"{images}, and a JPEG has 1 or 3; leave `jpeg_quality` out")
    unfit = [corruption.name for corruption in suite.corruptions if not corruption.takes(channels)]
    if unfit:
        raise UsageError(_unfit(unfit, suite, facts, "colours or grey" if channels > 1 else "colours"))


def _images(facts: ModelFacts) -> str:
    channels = facts.preprocessing.channels
    return f"{facts.name} takes images of {channels} channel{'s' if channels > 1 else ''}"


def _unfit(names: Sequence[str], suite: CorruptionSuite | AttackSuite, facts: ModelFacts, made_for: str) -> str:
    """Return the message about definitions that are made for other images."""
    several, kind = len(names) > 1, "attacks" if isinstance(suite, AttackSuite) else "corruptions"
    copy = "these files and their names in suite.toml" if several else "this file and its name in suite.toml"
    return (
        f"{_images(facts)}, and {', '.join(names)} of {suite.name} {'are' if several else 'is'} made for {made_for}: "
        f"give a copy of the suite's folder, {kind}/NAME, without {copy}"
    )
