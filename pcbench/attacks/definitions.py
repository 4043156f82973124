"""What an attack and a suite of attacks are, and how they are read from `attacks/<suite>/*.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from pcbench.attacks.libraries import FUNCTION, library_names
from pcbench.catalog import (
    SUITE_FILE,
    Definition,
    PathName,
    SuiteHeader,
    identity,
    load_header,
    named_by_file,
    parse_definition,
)
from pcbench.errors import DefinitionError, UnknownNameError, UsageError
from pcbench.norms import Epsilon, Norm, NormName, check_epsilons, norm_named
from pcbench.own_code import named_object

OverTimesteps = Literal["mean", "worst"]
_COLOURS_ONLY = ("TIFGSM", "PIFGSM", "PIFGSMPP")
"""Attacks of torchattacks that smooth the gradient with a kernel for three channels."""


def _known_library(name: str) -> str:
    if name not in library_names():
        raise ValueError(str(UnknownNameError("attack library", name, library_names())))
    return name


class AttackDefinition(Definition):
    """One attack: which library runs it, in which ball, and with which settings."""

    name: PathName
    """The file's name without `.toml`; part of the seed of random starts."""
    title: str
    """What readers of a report see."""
    library: Annotated[str, AfterValidator(_known_library)]
    """The library whose attack this is, one of `pcbench.attacks.libraries`."""
    attack: str
    """The attack's name there: foolbox's and torchattacks' class, pyautoattack's version, a function's
    ``"module:name"``. A file says `function = "module:name"` in place of `library` and `attack`."""
    norm: NormName
    """The name of the ball's norm."""
    epsilons: tuple[Epsilon, ...]
    """Radii, ascending, in pixel units of images in [0, 1]; for a minimal-norm attack, the radii at which its
    adversarial images are read."""
    search: Literal["fixed_epsilon", "minimal_norm"] = "fixed_epsilon"
    """``"fixed_epsilon"`` looks anywhere in the ball, ``"minimal_norm"`` for the nearest adversarial image."""
    white_box: bool = True
    """Whether the attack takes gradients of the model; the tables name their mode only where it does."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Gradient steps, for attacks that take a number of steps."""
    relative_step_size: Annotated[float, Field(gt=0)] | None = None
    """A step's length as a share of epsilon, so that it scales over a sweep."""
    restarts: Annotated[int, Field(ge=1)] = 1
    """Independent runs; one that succeeds is enough."""
    random_start: bool = False
    """Whether a run starts at a random point of the ball."""
    targeted: bool = False
    """Whether success is reaching a target class instead of leaving the label."""
    target_offset: Annotated[int, Field(ge=1)] | None = None
    """The target is (label + target_offset) modulo the number of classes."""
    target_class: Annotated[int, Field(ge=0)] | None = None
    """The target is this class, for every image."""
    over_timesteps: OverTimesteps | None = None
    """Attack one timestep's loss, or all at once: the mean of their losses, or the loss of the timestep that resists
    best at the moment."""
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Further keyword arguments for the library."""
    source: str
    """The paper, and the code where the settings come from it."""
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def own(self) -> Any:
        """The user's own function or object that runs the attack; None where a library's name says it all.

        Raises:
            UsageError: It cannot be imported, or cannot be called.
        """
        if self.library != FUNCTION:
            return None
        found = named_object(self.attack, self._folder)
        if not callable(found) or isinstance(found, type):
            raise UsageError(f"{self.attack}: an attack is a function (model, images, labels, epsilon) -> images")
        return found

    def identified(self) -> dict[str, Any]:
        """Return what of the attack can change a number; of the user's own, source, versions and attributes too."""
        stated = self.model_dump(mode="json", exclude={"title", "source"})
        if self.own is None:
            return stated
        # Imported here: it loads torch, and a list of suites should not wait for that.
        from pcbench.network.identity import called_identity

        return {**stated, "own": called_identity(self.own, f"the attack {self.name}")}

    def found_in(self, folder: Path) -> Self:
        """Return the same, whose function's module may also lie in a folder."""
        self._folder = folder
        return self

    @property
    def colours_only(self) -> bool:
        """Whether the library's own code is for images of three channels alone."""
        return self.library == "torchattacks" and self.attack in _COLOURS_ONLY

    @property
    def ball(self) -> Norm:
        """The norm itself: distances, projections, and what budgets are."""
        return norm_named(self.norm)

    @model_validator(mode="after")
    def _check(self) -> Self:
        ordered = check_epsilons(self.epsilons, self.ball)
        if ordered != self.epsilons:
            raise ValueError("epsilons: write them in ascending order, each once")
        if self.relative_step_size is not None and self.steps is None:
            raise ValueError("relative_step_size needs steps")
        if self.relative_step_size is not None and (self.steps or 0) * self.relative_step_size < 1:
            raise ValueError("steps times relative_step_size is below 1: the attack cannot reach the edge of its ball")
        if self.targeted != ((self.target_offset is None) != (self.target_class is None)):
            raise ValueError("targeted = true goes with one of target_offset and target_class, and they with it")
        if self.over_timesteps is not None and self.search != "fixed_epsilon":
            raise ValueError("over_timesteps is for attacks with a fixed epsilon")
        return self


class GivenAttack(AttackDefinition):
    """An attack that was given as an object of Python."""

    given: Any = Field(exclude=True, repr=False)
    """The object."""

    @property
    def own(self) -> Any:
        """The object."""
        return self.given


class NetworkSettings(Definition):
    """Hyperparameters of the update rule that a published suite asks for, the same for all PCoders."""

    feedforward: float
    """β."""
    feedback: float
    """λ."""
    error_weight: float
    """α; former suites call it `error`."""

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table  # which is refused
        settings = cast("dict[str, Any]", table)
        names = {"error": "error_weight"} if "error_weight" not in table else {}
        return {names.get(key, key): value for key, value in settings.items()}


class AttackHeader(SuiteHeader):
    """What the `suite.toml` of a suite of attacks says."""

    images: Literal["all", "correct_at_every_timestep"] = "all"
    """Which images are attacked: all, or only those that are right at every timestep."""
    default_images: Annotated[int, Field(ge=1)] | None = None
    """How many images are attacked where the user names no number; all, if not stated."""
    network: NetworkSettings | None = None
    """Hyperparameters the source used, where the suite repeats a paper."""


class AttackSuite(AttackHeader):
    """A suite's header and its attacks, in the order of their names."""

    name: PathName
    """The folder's name."""
    attacks: tuple[AttackDefinition, ...]

    def attack(self, name: str) -> AttackDefinition:
        """Return one attack of the suite.

        Raises:
            UnknownNameError: The suite has no attack of this name.
        """
        for definition in self.attacks:
            if definition.name == name:
                return definition
        raise UnknownNameError("attack", name, [definition.name for definition in self.attacks])

    def identity(self) -> str:
        """Return a hash of what in the suite can change a number: not its titles, sources and notes."""
        attacks = [definition.identified() for definition in self.attacks]
        network = None if self.network is None else self.network.model_dump(mode="json")
        if network is not None:
            # Under its former name: the hash is of numbers, and these have not changed.
            network["error"] = network.pop("error_weight")
        return identity({"images": self.images, "network": network, "attacks": attacks})


def load_attack(path: Path) -> AttackDefinition:
    """Read one attack; its name is the file's.

    Raises:
        DefinitionError: The file is missing, broken, or holds a meaningless value.
    """
    table = named_by_file(path)
    if "function" in table:
        if "library" in table or "attack" in table:
            raise DefinitionError(path, "`function` stands in place of `library` and `attack`; leave these two out")
        table |= {"library": FUNCTION, "attack": table.pop("function")}
    return parse_definition(AttackDefinition, table, path).found_in(path.parent.resolve())


def load_attack_suite(folder: Path) -> AttackSuite:
    """Read a suite: `suite.toml` and every other TOML file beside it.

    Raises:
        DefinitionError: A file is missing or broken, the name is not the folder's, or there is no attack.
    """
    header = load_header(AttackHeader, folder)
    attacks = tuple(load_attack(path) for path in sorted(folder.glob("*.toml")) if path.name != SUITE_FILE)
    if not attacks:
        raise DefinitionError(folder, "the suite holds no attack; add one TOML file for each")
    return AttackSuite(name=folder.name, attacks=attacks, **header.__dict__)
