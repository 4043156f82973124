"""Suites of corruptions and their baselines, read from TOML files.

A suite is a folder: `suite.toml` says what it is, `baseline.toml` (where there is one) holds the errors of the
network that corruption errors are divided by, and every other TOML file defines one corruption, named by the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from pcbench.catalog import Definition, identity, load_definition, parse_definition
from pcbench.errors import DefinitionError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from pcbench.corruptions.corruption import Corruption

SEVERITIES = (1, 2, 3, 4, 5)

# Published means have six decimals, published errors five.
_MEAN_TOLERANCE = 2e-5
_SUITE_FILE, _BASELINE_FILE = "suite.toml", "baseline.toml"

AppliedTo = Literal["pixels", "network_input", "representations"]
Parameter = float | int | bool
FiveParameters = Annotated[tuple[Parameter, ...], Field(min_length=5, max_length=5)]
Error = Annotated[float, Field(ge=0, le=1)]
FiveErrors = tuple[Error, Error, Error, Error, Error]


class CorruptionDefinition(Definition):
    """One corruption at five severities.

    Attributes:
        name: The file's name without `.toml`; part of the seed of every image.
        title: What tables and figures print.
        family: noise, blur, weather, digital, or extra (ImageNet-C's four for validation).
        function: A name in `pcbench.corruptions.functions`.
        source: Where function and parameters come from.
        parameters: For each parameter of the function its five values, severity 1 first.
    """

    name: str
    title: str
    family: Literal["noise", "blur", "weather", "digital", "extra"]
    function: str
    source: str
    parameters: dict[str, FiveParameters]

    def at(self, severity: int) -> Corruption:
        """Return the corruption function with the parameters of one severity.

        Raises:
            UsageError: `severity` is not 1, 2, 3, 4 or 5.
        """
        if severity not in SEVERITIES:
            raise UsageError(f"there is no severity {severity!r}; severities are 1, 2, 3, 4 and 5")
        return self._functions[severity - 1]

    @cached_property
    def _functions(self) -> tuple[Corruption, ...]:
        return tuple(_corruption(self, severity, f"corruption {self.name!r}") for severity in SEVERITIES)


class Baseline(Definition):
    """The errors of the network that corruption errors are divided by.

    Attributes:
        name: The network, such as ``"alexnet"``.
        source: Where the numbers come from, or how they were made.
        clean_error: Error on the images without corruption, 0 to 1; needed for the relative corruption error.
        errors: For each corruption its error at each severity, 0 to 1; None where only the mean is known.
        means: For each corruption its mean error over the five severities as published; where `errors` has the
            corruption too, the two agree.
    """

    name: str
    source: str
    clean_error: Error | None = None
    errors: dict[str, FiveErrors | None] = Field(default_factory=dict)
    means: dict[str, Error] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _means_agree(self) -> Baseline:
        for corruption, published in self.means.items():
            errors = self.errors.setdefault(corruption, None)
            average = published if errors is None else math.fsum(errors) / 5
            if abs(average - published) > _MEAN_TOLERANCE:
                raise ValueError(f"the mean of {corruption!r} is {published}, but its errors average to {average:.6f}")
        return self

    def mean_error(self, corruption: str) -> float:
        """Return the mean error over the five severities of one corruption.

        Raises:
            UnknownNameError: The baseline does not have this corruption.
        """
        errors = self.errors.get(corruption)
        if errors is not None:
            return math.fsum(errors) / 5
        if corruption in self.means:
            return self.means[corruption]
        raise UnknownNameError(f"corruption in the baseline {self.name!r}", corruption, self.errors)


class CorruptionSuite(Definition):
    """A set of corruptions that are reported together.

    Attributes:
        name: The folder's name.
        version: Raised when a definition changes, so that results are not compared across the change.
        title: What tables and figures print.
        source: Where the suite comes from.
        applied_to: `pixels` (images in [0, 1], the result too), `network_input` (the image after normalisation, not
            clipped), or `representations`: as `network_input`, but what is measured are the network's inner states.
        corruptions: In the suite's order.
        baseline: What corruption errors are divided by; None where there is nothing yet.
    """

    name: str
    version: int = Field(ge=1)
    title: str
    source: str
    applied_to: AppliedTo = "pixels"
    corruptions: tuple[CorruptionDefinition, ...]
    baseline: Baseline | None

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
        corruptions = [
            {"name": known.name, "function": known.function, "parameters": known.parameters}
            for known in sorted(self.corruptions, key=lambda known: known.name)
        ]
        return identity({"applied_to": self.applied_to, "corruptions": corruptions})


class _SuiteFile(Definition):
    version: int = Field(ge=1)
    title: str
    source: str
    applied_to: AppliedTo = "pixels"
    order: tuple[str, ...] = ()


class _CorruptionFile(Definition):
    title: str
    family: Literal["noise", "blur", "weather", "digital", "extra"]
    function: str
    source: str
    parameters: dict[str, FiveParameters]


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
    head = load_definition(_SuiteFile, folder / _SUITE_FILE)
    files = {
        path.stem: path for path in sorted(folder.glob("*.toml")) if path.name not in {_SUITE_FILE, _BASELINE_FILE}
    }
    if not files:
        raise DefinitionError(folder, "holds no corruption; put one TOML file for each into it")
    for name in head.order:
        if name not in files:
            raise DefinitionError(
                folder / f"{name}.toml", f"there is no such file, but 'order' in {_SUITE_FILE} names it"
            )
    names = [*head.order, *(name for name in files if name not in head.order)]
    corruptions = tuple(load_corruption(files[name]) for name in names)
    for corruption in corruptions:
        if head.applied_to != "pixels" and corruption.function != "gaussian_noise":
            raise DefinitionError(
                files[corruption.name],
                f"function: only gaussian_noise can be added to a network's input, not {corruption.function}; "
                f'or say applied_to = "pixels" in {_SUITE_FILE}',
            )
    path = folder / _BASELINE_FILE
    return CorruptionSuite(
        name=folder.name,
        corruptions=corruptions,
        baseline=load_definition(Baseline, path) if path.is_file() else None,
        **head.model_dump(exclude={"order"}),
    )


def load_corruption(path: Path) -> CorruptionDefinition:
    """Read one corruption's file.

    Raises:
        DefinitionError: The file is missing, or names a function or a parameter that there is not.
    """
    table = load_definition(_CorruptionFile, path)
    definition = CorruptionDefinition(name=path.stem, **table.model_dump())
    for severity in SEVERITIES:
        _corruption(definition, severity, path)
    return definition


def _corruption(definition: CorruptionDefinition, severity: int, where: Path | str) -> Corruption:
    # Imported here: the functions load torch, and a list of suites should not wait for that.
    from pcbench.corruptions.functions import FUNCTIONS

    if definition.function not in FUNCTIONS:
        raise DefinitionError(where, f"function: {_unknown('function', definition.function, FUNCTIONS)}")
    parameters = {name: values[severity - 1] for name, values in definition.parameters.items()}
    return parse_definition(FUNCTIONS[definition.function], parameters, where)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return str(UnknownNameError(kind, name, known))
