"""Hyperparameters as an option of a run gives them: texts NAME=VALUE; several values make a grid of settings.

Nothing heavy is imported here: options are read before anything else.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from pcbench.arguments import asked, listed, number, shown
from pcbench.errors import UnknownNameError, UsageError

NAMES: Mapping[str, str] = {
    "feedforward": "feedforward",
    "ffm": "feedforward",
    "feedback": "feedback",
    "fbm": "feedback",
    "error_weight": "error_weight",
    "erm": "error_weight",
    "pc": "error_weight",
}
"""What β, λ and α may be called: our names, those of the reference's classes, and that of its files."""

MOST_SETTINGS = 256
"""How many settings a run may have: each is measured as a whole."""

if TYPE_CHECKING:
    Values: TypeAlias = float | Sequence[float]
    GivenHyperparameters: TypeAlias = Sequence[str] | Mapping[str, Values] | Sequence[Mapping[str, Values]]
else:
    GivenHyperparameters = Sequence[str]  # what `texts_of` makes of the others

_ORDER = tuple(dict.fromkeys(NAMES.values()))
_NAMED = re.compile(r"(?:pcoder(?P<pcoder>\d{1,4})\.)?(?P<name>.*)", re.DOTALL)
_FORM = "`hyperparameters` is NAME=VALUE or NAME=VALUE,VALUE,…, such as feedback=0.1 or pcoder2.feedback=0,0.1"


@dataclass(frozen=True)
class Setting:
    """One value for each hyperparameter that a run gives."""

    values: Mapping[str, float]
    """By name, as in `Grid.values`."""
    label: str
    """The values in which it differs from the run's other settings, as they name a folder; empty where it is alone."""

    @property
    def text(self) -> str:
        """All its values, as the option gives them."""
        return " ".join(f"{name}={value_text(value)}" for name, value in self.values.items())

    @property
    def texts(self) -> tuple[str, ...]:
        """The same as the option holds them."""
        return tuple(f"{name}={value_text(value)}" for name, value in self.values.items())

    def of_pcoders(self, feedback: Sequence[int | None]) -> tuple[dict[str, float], ...]:
        """Return what is given for each PCoder: values for one win over those for all.

        Args:
            feedback: For each PCoder of the network, the one that feeds back to it; None: none does.

        Raises:
            UsageError: One is for a PCoder that is not there, or is a feedback weight that nothing uses.
        """
        for_all: dict[str, float] = {}
        for_one: dict[int, dict[str, float]] = {}
        for name, value in self.values.items():
            pcoder, _, weight = name.rpartition(".")
            one = int(pcoder.removeprefix("pcoder") or 0)
            _refuse_idle(name, weight, one, feedback)
            (for_one.setdefault(one, {}) if pcoder else for_all)[weight] = value
        return tuple({**for_all, **for_one.get(one, {})} for one in range(1, len(feedback) + 1))


def _refuse_idle(name: str, weight: str, one: int, feedback: Sequence[int | None]) -> None:
    if one > len(feedback):
        raise UsageError(f"`hyperparameters` {name}: the network has {len(feedback)} PCoders, the first is pcoder1")
    of = feedback[one - 1 : one] if one else feedback
    if weight == "feedback" and all(above is None for above in of):
        whom = f"PCoder {one}, as to the last one, no other feeds back" if one else "no PCoder another feeds back"
        raise UsageError(f"`hyperparameters` {name}: to {whom}; leave it out")


@dataclass(frozen=True)
class Grid:
    """All settings of a run: every combination of the values that are given."""

    values: Mapping[str, tuple[float, ...]]
    """By name, ascending. A name is one of `NAMES`' own, or that of one PCoder: ``"pcoder2.feedback"``."""

    @property
    def swept(self) -> tuple[str, ...]:
        """The names that have several values."""
        return tuple(name for name, values in self.values.items() if len(values) > 1)

    @property
    def fixed(self) -> Mapping[str, float]:
        """The values of the other names."""
        return {name: values[0] for name, values in self.values.items() if len(values) == 1}

    @functools.cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Every combination, the last name's values changing fastest; none where nothing is given."""
        if not self.values:
            return ()
        combined = (dict(zip(self.values, each, strict=True)) for each in itertools.product(*self.values.values()))
        return tuple(
            Setting(values, ",".join(f"{name}={value_text(values[name])}" for name in self.swept))
            for values in combined
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The settings by what they differ in; none where there are not several."""
        return tuple(setting.label for setting in self.settings) if self.swept else ()

    def setting(self, label: str) -> Setting:
        """Return the setting of this label.

        Raises:
            UsageError: There is none.
        """
        for setting in self.settings:
            if setting.label == label:
                return setting
        raise UsageError(f"the run has no setting {label!r} of its hyperparameters")

    @classmethod
    def of(cls, given: GivenHyperparameters | None) -> Grid:
        """Return the grid that the option gives; it is empty where nothing is given.

        Raises:
            UnknownNameError, UsageError: As `texts_of`.
        """
        grid = cls({} if given is None else _read(_pairs(given)))
        count = math.prod(map(len, grid.values.values()))
        if count > MOST_SETTINGS:
            raise UsageError(f"`hyperparameters` gives {count} settings; a run has at most {MOST_SETTINGS}")
        return grid


def value_text(value: float) -> str:
    """Return a value as a name of a folder and a table show it: no other value has the same text."""
    short = f"{value:.6g}"
    return short if float(short) == value else repr(value)


def texts_of(given: object) -> object:
    """Return hyperparameters as the option holds them: one text a name, in a fixed order, values ascending.

    Args:
        given: One text or several, a mapping of names to a value or several, or a list of such, one a PCoder.

    Raises:
        UnknownNameError: A name is not one of `NAMES`.
        UsageError: It is something else, a value is no finite number of at least 0, or one is given twice.
    """
    if given is None:
        return None
    grid = Grid.of(cast("GivenHyperparameters", given))
    texts = (f"{name}={','.join(map(value_text, values))}" for name, values in grid.values.items())
    return tuple(texts) or None


def _pairs(given: object) -> Iterator[tuple[str, object]]:
    if isinstance(given, Mapping):
        table = cast("Mapping[object, object]", given)
        yield from asked("`hyperparameters`", lambda: [(str(name), value) for name, value in table.items()])
        return
    entries = listed(given)
    if entries is None:
        raise UsageError(f"{_FORM} (got {shown(given)})")
    if any(isinstance(entry, Mapping) for entry in entries):
        for pcoder, entry in enumerate(entries, start=1):
            if not isinstance(entry, Mapping):
                raise UsageError(f"{_FORM} (got {shown(entry)})")
            yield from ((f"pcoder{pcoder}.{name}", value) for name, value in _pairs(cast("object", entry)))
    else:
        yield from _split(entries)


def _split(texts: Sequence[object]) -> Iterator[tuple[str, object]]:
    for text in texts:
        name, equals, values = str(text).partition("=")
        if not isinstance(text, str) or not equals:
            raise UsageError(f"{_FORM} (got {shown(text)})")
        yield name, values.split(",")


def _read(pairs: Iterator[tuple[str, object]]) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for given, values in pairs:
        name = _name(given.strip().replace("-", "_"))
        if name in found:
            raise UsageError(f"`hyperparameters` {name} is given twice; give all its values at once")
        found[name] = _values(name, listed(values) or ())
    return dict(sorted(found.items(), key=lambda item: _rank(item[0])))


def _name(given: str) -> str:
    match = _NAMED.fullmatch(given)
    weight = given if match is None else match["name"]
    if weight not in NAMES:
        raise UnknownNameError("hyperparameter", weight, NAMES)
    pcoder = None if match is None else match["pcoder"]
    if pcoder is not None and int(pcoder) == 0:
        raise UsageError(f"`hyperparameters` {given}: the first PCoder is pcoder1")
    return NAMES[weight] if pcoder is None else f"pcoder{int(pcoder)}.{NAMES[weight]}"


def _rank(name: str) -> tuple[int, int]:
    pcoder, _, weight = name.rpartition(".")
    return int(pcoder.removeprefix("pcoder") or 0), _ORDER.index(weight)


def _values(name: str, given: Sequence[object]) -> tuple[float, ...]:
    if not given or given == ("",):
        raise UsageError(f"`hyperparameters` {name} has no value; give one, such as {name}=0.1")
    found: list[float] = []
    for one in given:
        if isinstance(one, str) and "=" in one:
            raise UsageError(f"`hyperparameters` {name}: {one.strip()} is another name; give each name by itself")
        value = number(one.strip() if isinstance(one, str) else one)
        if isinstance(value, bool) or not isinstance(value, float) or not 0 <= value < math.inf:
            raise UsageError(f"`hyperparameters` {name} is a finite number of at least 0 (got {shown(one)})")
        if value in found:
            raise UsageError(f"`hyperparameters` {name} has the value {value_text(value)} twice; give it once")
        found.append(value + 0.0)  # minus zero is zero
    return tuple(sorted(found))
