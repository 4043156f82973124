"""Suites of corruptions and their baselines, read from TOML files.

A suite is a folder: `suite.toml` says what it is, `baseline.toml` (where there is one) holds the errors of the
network that corruption errors are divided by, and every other TOML file defines one corruption, named by the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from pcbench.arguments import shown, whole
from pcbench.catalog import (
    BASELINE_FILE,
    SUITE_FILE,
    Definition,
    PathName,
    SuiteHeader,
    definition_names,
    identity,
    load_definition,
    load_header,
    named_by_file,
    parse_definition,
)
from pcbench.data.layout import PublishedLayout
from pcbench.errors import DefinitionError, UnknownNameError, UsageError
from pcbench.own_code import named_object

if TYPE_CHECKING:
    from pcbench.corruptions.corruption import Corruption

# Published means have six decimals, published errors five.
_MEAN_TOLERANCE = 2e-5

AppliedTo = Literal["pixels", "network_input", "representations"]
Parameter = float | int | bool
MOST_SEVERITIES = 99
Parameters = Annotated[tuple[Parameter, ...], Field(min_length=1, max_length=MOST_SEVERITIES)]
Error = Annotated[float, Field(ge=0, le=1)]
Errors = Annotated[tuple[Error, ...], Field(min_length=1)]


class CorruptionDefinition(Definition):
    """One corruption at all its severities."""

    name: PathName
    """The file's name without `.toml`; part of the seed of every image."""
    title: str
    """What tables and figures print."""
    family: Literal["noise", "blur", "weather", "digital", "extra"]
    """noise, blur, weather, digital, or extra (ImageNet-C's four for validation)."""
    function: str
    """A name in `pcbench.corruptions.functions`, a function of the user's own as ``"module:name"``, or
    ``"only_published"`` where there are files alone."""
    source: str
    """Where function and parameters come from."""
    parameters: dict[str, Parameters]
    """For each parameter of the function one value per severity, severity 1 first."""
    levels: Annotated[int, Field(ge=1, le=MOST_SEVERITIES)] | None = None
    """How many severities a function without parameters has; 1 where nothing says it."""
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _as_many_values_everywhere(self) -> CorruptionDefinition:
        counts = {name: len(values) for name, values in self.parameters.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"parameters: give each one value per severity; now {_listed(counts)}")
        if counts and self.levels is not None:
            raise ValueError("levels: the parameters say how many severities there are; leave it out")
        return self

    @property
    def severities(self) -> range:
        """The severities, 1 first: as many as each parameter has values. It is the only place that says so."""
        values = next(iter(self.parameters.values()), ())
        return range(1, (len(values) or self.levels or 1) + 1)

    @property
    def own(self) -> Any:
        """The user's own function; None where the function is one of pcbench's.

        Raises:
            UsageError: It cannot be imported.
        """
        return named_object(self.function, self._folder) if ":" in self.function else None

    def identified(self) -> dict[str, Any]:
        """Return what of the corruption can change an image; of the user's own function, source and versions too."""
        stated: dict[str, Any] = {"name": self.name, "function": self.function, "parameters": self.parameters}
        if self.levels is not None:
            stated["levels"] = self.levels
        if self.own is None:
            return stated
        # Imported here: it loads torch, and a list of suites should not wait for that.
        from pcbench.network.identity import called_identity

        return {**stated, "own": called_identity(self.own, f"the corruption {self.name}")}

    def found_in(self, folder: Path) -> Self:
        """Return the same, whose function's module may also lie in a folder."""
        self._folder = folder
        return self

    def measured(self, chosen: Sequence[int] | None) -> tuple[int, ...]:
        """Return the severities that a run measures.

        Args:
            chosen: Those that it names; all of the corruption where it names none.
        """
        return tuple(severity for severity in self.severities if chosen is None or severity in chosen)

    def severity(self, value: object) -> int:
        """Return one of the severities, whatever type of whole number it is written in.

        Raises:
            UsageError: The corruption does not have this severity.
        """
        found = whole(value)
        if isinstance(found, bool) or not isinstance(found, int) or found not in self.severities:
            known = f"from 1 to {len(self.severities)}" if len(self.severities) > 1 else "1 alone"
            raise UsageError(f"there is no severity {shown(value)}; the severities of {self.name} are {known}")
        return found

    def at(self, severity: int) -> Corruption:
        """Return the corruption function with the parameters of one severity.

        Raises:
            UsageError: The corruption does not have this severity.
        """
        return self._functions[self.severity(severity) - 1]

    def takes(self, channels: int) -> bool:
        """Return whether it has a meaning for images of so many channels."""
        made_for = type(self._functions[0]).made_for
        return not made_for or channels in made_for

    @cached_property
    def _functions(self) -> tuple[Corruption, ...]:
        return tuple(_corruption(self, severity, f"corruption {self.name!r}") for severity in self.severities)


class GivenCorruption(CorruptionDefinition):
    """A corruption that was given as a function in Python."""

    given: Any = Field(exclude=True, repr=False)
    """The function."""

    @property
    def own(self) -> Any:
        """The function."""
        return self.given


class BaselineImages(Definition):
    """The images of the run that a baseline was made from, and how they became what the network saw."""

    name: str
    """What their data source is called."""
    count: Annotated[int, Field(ge=1)]
    """How many there are."""
    sha256: str
    """Hash over the label and the stored bytes of each; names and order do not count."""
    suite_sha256: str
    """Hash of the suite of corruptions."""
    preprocessing: str
    """How files became images of the network's size."""
    corrupted: str | None = None
    """Hash over the published corrupted files; None where images were corrupted on the fly."""
    jpeg_quality: int | None = None
    """The quality of their compression after corruption; None without."""


class Baseline(Definition):
    """The errors of the network that corruption errors are divided by, and the images that they are of.

    One of `data` and `images` says which images these are. Files of former versions say neither, and divide nothing.
    """

    name: str
    """The network, such as ``"alexnet"``, and what it was measured on where nothing else says it."""
    source: str
    """Where the numbers come from, or how they were made."""
    data: Literal["imagenet", "digits"] | None = None
    """The data set of all images that the errors are of: ImageNet's validation images, or the digits' test images."""
    images: BaselineImages | None = None
    """The very images; results on these alone are divided."""
    clean_error: Error | None = None
    """Error on the images without corruption, 0 to 1; needed for the relative corruption error."""
    errors: dict[str, Errors | None] = Field(default_factory=dict)
    """For each corruption its error at each severity, 0 to 1; None where only the mean is known."""
    means: dict[str, Error] = Field(default_factory=dict)
    """For each corruption its mean error over the severities as published; where `errors` has the corruption too, the
    two agree."""

    @model_validator(mode="after")
    def _means_agree(self) -> Baseline:
        for corruption, published in self.means.items():
            errors = self.errors.setdefault(corruption, None)
            average = published if errors is None else math.fsum(errors) / len(errors)
            if abs(average - published) > _MEAN_TOLERANCE:
                raise ValueError(f"the mean of {corruption!r} is {published}, but its errors average to {average:.6f}")
        return self

    def mean_error(self, corruption: str) -> float:
        """Return the mean error over the severities of one corruption.

        Raises:
            UnknownNameError: The baseline does not have this corruption.
        """
        errors = self.errors.get(corruption)
        if errors is not None:
            return math.fsum(errors) / len(errors)
        if corruption in self.means:
            return self.means[corruption]
        raise UnknownNameError(f"corruption in the baseline {self.name!r}", corruption, self.errors)


class CorruptionHeader(SuiteHeader):
    """What the `suite.toml` of a suite of corruptions says."""

    applied_to: AppliedTo = "pixels"
    """`pixels` (images in [0, 1], the result too), `network_input` (the image after normalisation, not clipped), or
    `representations`: as `network_input`, but what is measured are the network's inner states."""
    order: tuple[str, ...] = ()
    """The names of corruptions that come first, in this order."""
    published: PublishedLayout | None = None
    """How the suite was published as files, if it was."""


class CorruptionSuite(CorruptionHeader):
    """A set of corruptions that are reported together."""

    name: PathName
    """The folder's name."""
    corruptions: tuple[CorruptionDefinition, ...]
    """In the suite's order."""
    baseline: Baseline | None
    """What corruption errors are divided by; None where there is nothing yet."""

    def corruption(self, name: str) -> CorruptionDefinition:
        """Return one corruption by its name.

        Raises:
            UnknownNameError: The suite does not have it.
        """
        for definition in self.corruptions:
            if definition.name == name:
                return definition
        raise UnknownNameError(f"corruption in {self.name}", name, [known.name for known in self.corruptions])

    def identity(self) -> str:
        """Return a hash of what in the suite can change an image: not its titles, sources, order and baseline."""
        corruptions = [known.identified() for known in sorted(self.corruptions, key=lambda known: known.name)]
        return identity({"applied_to": self.applied_to, "corruptions": corruptions})


def load_corruption_suite(folder: Path) -> CorruptionSuite:
    """Read a suite of corruptions.

    Args:
        folder: The suite's folder; its name is the suite's.

    Returns:
        The suite, every parameter of every severity checked. Corruptions come in the order that `suite.toml` gives,
        then those it does not name, by name.

    Raises:
        DefinitionError: A file is missing or wrong, or its corruption is not one for what the suite is applied to;
            the message names file, key and remedy.
    """
    header = load_header(CorruptionHeader, folder)
    files = {name: folder / f"{name}.toml" for name in definition_names(folder)}
    if not files:
        raise DefinitionError(folder, "holds no corruption; put one TOML file for each into it")
    for name in header.order:
        if name not in files:
            raise DefinitionError(
                folder / f"{name}.toml", f"there is no such file, but 'order' in {SUITE_FILE} names it"
            )
    names = [*header.order, *(name for name in files if name not in header.order)]
    corruptions = tuple(load_corruption(files[name]) for name in names)
    for corruption in corruptions:
        if header.applied_to != "pixels":
            _check_noise(corruption, files[corruption.name])
    path = folder / BASELINE_FILE
    baseline = read_baseline(path, corruptions) if path.is_file() else None
    return CorruptionSuite(name=folder.name, corruptions=corruptions, baseline=baseline, **header.__dict__)


def read_baseline(path: Path, corruptions: Iterable[CorruptionDefinition]) -> Baseline:
    """Read a baseline.

    Raises:
        DefinitionError: The file is missing or wrong, or is of other severities than the corruptions have.
    """
    baseline = load_definition(Baseline, path)
    for corruption in corruptions:
        errors, count = baseline.errors.get(corruption.name), len(corruption.severities)
        if errors is not None and len(errors) != count:
            raise DefinitionError(
                path,
                f"errors.{corruption.name}: has {len(errors)} errors, but the corruption has {count} severities; "
                "make the baseline again with: pcbench baseline RUN",
            )
    return baseline


def load_corruption(path: Path) -> CorruptionDefinition:
    """Read one corruption's file.

    Raises:
        DefinitionError: The file is missing, or names a function or a parameter that does not exist.
    """
    definition = parse_definition(CorruptionDefinition, named_by_file(path), path).found_in(path.parent.resolve())
    for severity in definition.severities:
        _corruption(definition, severity, path)
    return definition


def _check_noise(definition: CorruptionDefinition, path: Path) -> None:
    """Refuse what is no noise, and levels that tables and charts could not keep apart."""
    from pcbench.corruptions.functions import FUNCTIONS
    from pcbench.corruptions.noise import Noise

    functions = [definition.at(severity) for severity in definition.severities]
    noises = [function for function in functions if isinstance(function, Noise)]
    if len(noises) < len(functions):
        known = ", ".join(name for name, kind in FUNCTIONS.items() if issubclass(kind, Noise))
        raise DefinitionError(
            path,
            f"function: only a noise ({known}) can be added to a network's input, not {definition.function}; "
            f'or say applied_to = "pixels" in {SUITE_FILE}',
        )
    levels = [noise.level for noise in noises]
    (name,) = definition.parameters
    if 0 in levels:
        raise DefinitionError(path, f"{name}: holds 0, which is no noise; leave it out, clean images are measured too")
    repeated = next((level for level in levels if levels.count(level) > 1), None)
    if repeated is not None:
        value = definition.parameters[name][levels.index(repeated)]
        raise DefinitionError(path, f"{name}: holds {shown(value)} more than once; write each level once")


def _corruption(definition: CorruptionDefinition, severity: int, where: Path | str) -> Corruption:
    # Imported here: the functions load torch, and a list of suites should not wait for that.
    from pcbench.corruptions.functions import FUNCTIONS
    from pcbench.corruptions.own import ONLY_PUBLISHED, OnlyPublished, own_function

    parameters = {name: values[severity - 1] for name, values in definition.parameters.items()}
    own = definition.own
    if own is not None:
        return own_function(own, definition.name, severity, parameters)
    if definition.function == ONLY_PUBLISHED:
        return parse_definition(OnlyPublished, parameters, where)
    if definition.function not in FUNCTIONS:
        raise DefinitionError(where, f"function: {_unknown('function', definition.function, FUNCTIONS)}")
    return parse_definition(FUNCTIONS[definition.function], parameters, where)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} has {count}" for name, count in counts.items())


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return str(UnknownNameError(kind, name, known))
