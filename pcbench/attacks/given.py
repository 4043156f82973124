"""Attacks that are given in Python: objects of attack libraries, and functions of the user's own."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from typing_extensions import TypedDict

from pcbench.arguments import listed, public, shown
from pcbench.attacks import libraries
from pcbench.attacks.definitions import AttackDefinition, AttackSuite, GivenAttack, load_attack, load_attack_suite
from pcbench.attacks.libraries import FUNCTION, library_names
from pcbench.catalog import BARE_SUITES, GIVEN_SUITES, catalog_folder, parse_definition, suite_folder, suite_names
from pcbench.errors import UsageError
from pcbench.names import why_not
from pcbench.norms import NORMS, norm_named, read_epsilons
from pcbench.own_code import object_name, refuse_one_name
from pcbench.plugins import find_plugin, plugins

if TYPE_CHECKING:
    from torch import Tensor, nn  # names are looked up here before PyTorch is loaded

DEFAULT_SUITE = BARE_SUITES["attacks"][0]

AttackFunction = Callable[["nn.Module", "Tensor", "Tensor", float], "Tensor"]
"""An attack of the user's own: a classifier (images in [0, 1] -> logits), images (batch, channels, height, width),
classes (batch,) and a budget -> images of the same shape. An array of NumPy may be returned too."""


class AttackKeys(TypedDict, total=False):
    """Keys of a definition that may be stated of an object or a function; `AttackDefinition` explains them."""

    name: str
    title: str
    norm: str | float
    epsilons: object
    search: str
    white_box: bool
    restarts: int
    targeted: bool
    target_offset: int
    target_class: int
    parameters: Mapping[str, bool | int | float | str]
    source: str


@public(AttackKeys)
def own_attack(attack: object, **keys: Unpack[AttackKeys]) -> AttackDefinition:
    """Return the definition of an attack that is an object or a function.

    Args:
        attack: An attack object of foolbox or torchattacks, whose model is replaced by each timestep's classifier, or a
            function `AttackFunction`.
        **keys: What it does not state, or what is to be another. Where nothing says it, the norm is L∞ and the budgets
            are those of the suite `linf` or `l2`; an object of torchattacks states its own. `parameters` are further
            keyword arguments of a function; `together=True` among them gives it whole batches.

    Raises:
        UsageError: It is neither, or of a norm that pcbench does not have; the message says what to give instead.
    """
    if inspect.isclass(attack):
        raise UsageError(f"{attack.__name__} is a class; give an instance of it: {attack.__name__}(…)")
    library = _library_of(attack)
    name = type(attack).__name__
    if library is None:
        held, stated = _function(attack), dict[str, Any](library=FUNCTION)
        name = object_name(attack)
    else:
        held, described = import_module(f"{libraries.__name__}.{library}").given(attack)
        stated = {"library": library, **described}
        if "norm" not in {**stated, **keys}:
            known = " or ".join(f"norm={one!r}" for one in NORMS)
            raise UsageError(f"{library}'s {name} states no norm that pcbench measures: own_attack(…, {known}) says it")
    table = {**_defaults(name, attack), "attack": name, **stated, **keys}
    table["norm"] = _norm_name(table.get("norm", "linf"))
    epsilons = table.get("epsilons", _usual_epsilons(table["norm"]))
    table["epsilons"] = list(read_epsilons(listed(epsilons) or (), norm_named(table["norm"])))
    plain = parse_definition(AttackDefinition, table, f"the attack {name}")
    return plain if held is None else GivenAttack(**plain.__dict__, given=held)


def attack_of(attack: object) -> AttackDefinition:
    """Return the definition of what a user gives as an attack.

    Raises:
        UnknownNameError, UsageError: As `find_attack` and `own_attack`.
    """
    if isinstance(attack, AttackDefinition):
        return attack
    return find_attack(os.fspath(attack)) if isinstance(attack, str | Path) else own_attack(attack)


def suite_of_attacks(attacks: Sequence[object]) -> AttackSuite:
    """Return the suite of the attacks that a user gives for a run, each as for `attack_of`.

    Raises:
        UnknownNameError, UsageError: One is no attack, or two have one name.
    """
    given = tuple(attack_of(one) for one in attacks)
    refuse_one_name("attacks", [one.name for one in given])
    return AttackSuite(
        name=GIVEN_SUITES["attacks"], attacks=given, version="1", title="Given attacks", source="given in Python"
    )


def find_attack(name: str) -> AttackDefinition:
    """Return an attack by name.

    Args:
        name: ``"pgd"`` is looked for in the suite `linf` and among what other packages register, ``"l2/pgd"`` in `l2`;
            ``"mine/attack.toml"`` is a file, and ``"module:function"`` a function of the user's own.

    Raises:
        UnknownNameError: No such suite or attack.
        UsageError: The suite is one of corruptions, the function cannot be imported, or the plug-in is broken.
    """
    if name.endswith(".toml"):
        return load_attack(Path(name))
    if ":" in name:
        function = name.rpartition(":")[2]
        table = {**_defaults(function, name), "library": FUNCTION, "attack": name, "norm": "linf"}
        found = parse_definition(AttackDefinition, {**table, "epsilons": _usual_epsilons("linf")}, name)
        _function(found.own)
        return found
    suite, _, attack_name = name.rpartition("/")
    plugin = None if suite else find_plugin("attacks", name)
    if plugin is not None and name not in [one.name for one in _suite(DEFAULT_SUITE).attacks]:
        return attack_of(plugin.load()).model_copy(update={"name": name})
    if not suite:
        _refuse_elsewhere(name)
    kind, folder = suite_folder(suite or DEFAULT_SUITE)
    if kind != "attacks":
        raise UsageError(f"{suite!r} is a suite of corruptions; attacks are in: {', '.join(suite_names('attacks'))}")
    return load_attack_suite(folder).attack(attack_name)


def refuse_unknown_attack(name: str) -> None:
    """Refuse a name that is no attack's, before any library is loaded.

    What a function is, and what another package gives, is found when it is opened.

    Raises:
        UnknownNameError, UsageError, DefinitionError: As `find_attack`.
    """
    if name not in plugins("attacks") and ":" not in name:
        find_attack(name)


def _refuse_elsewhere(name: str) -> None:
    """Refuse the name of an attack that is in another suite than `linf`, or is written otherwise, with what to write.

    Raises:
        UsageError: There is such an attack.
    """
    if name in [one.name for one in _suite(DEFAULT_SUITE).attacks]:
        return
    plain = name.casefold()
    for suite in (DEFAULT_SUITE, *suite_names("attacks")):
        for attack in _suite(suite).attacks:
            if plain in (attack.name, f"{suite}{attack.name}"):
                written = attack.name if suite == DEFAULT_SUITE else f"{suite}/{attack.name}"
                raise UsageError(f"attack {name!r} does not exist in {DEFAULT_SUITE}; write {written}")


def _defaults(name: str, attack: object) -> dict[str, Any]:
    home = attack if isinstance(attack, str) else getattr(attack, "__module__", type(attack).__module__)
    name = name if why_not(name) is None else "attack"
    return {"name": name, "title": name, "source": f"given in Python: {name} of {home}"}


def _norm_name(value: object) -> str:
    """Return pcbench's name of a norm that may be written as libraries do: Linf, L2, inf, 2."""
    text = str(value)
    short = {"inf": "linf", "2": "l2"}
    return next(
        (norm.name for norm in NORMS.values() if text in (norm.library_name, norm.symbol)), short.get(text, text)
    )


def _usual_epsilons(norm: str) -> list[float]:
    return list(_suite(norm if norm in suite_names("attacks") else DEFAULT_SUITE).attacks[-1].epsilons)


def _suite(name: str) -> AttackSuite:
    return load_attack_suite(catalog_folder("attacks") / name)


def _library_of(attack: object) -> str | None:
    """Return the library whose attack an object is; None for what is called as a function."""
    for cls in type(attack).__mro__:
        library = cls.__module__.partition(".")[0]
        if "." in cls.__module__ and library in library_names() and library != FUNCTION:
            return library
    return None


def _function(attack: object) -> AttackFunction:
    """Return a function that takes what an attack is given.

    Raises:
        UsageError: It cannot be called, or not with these.
    """
    takes = "(model, images, labels, epsilon) -> images"
    from torch import nn

    if not callable(attack) or isinstance(attack, nn.Module):
        raise UsageError(
            f"an attack is a name, such as 'linf/pgd', a .toml file, 'module:function', an AttackDefinition, an attack "
            f"object of foolbox or torchattacks, or a function {takes} (got {shown(attack)}); call attacks of other "
            "libraries in such a function"
        )
    try:
        inspect.signature(attack).bind(None, None, None, None)
    except TypeError as error:
        raise UsageError(
            f"{object_name(attack)}: an attack is a function {takes}; this one does not take these four: {error}"
        ) from None
    except ValueError:
        pass  # of code that is not Python nothing is known
    return cast("AttackFunction", attack)
