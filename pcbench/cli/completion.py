"""The names that a shell completes: of models, suites, data, and of the few words that an option takes.

PyTorch is not imported: a shell waits for the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args, get_origin

from pcbench.options import Declared

Completer = Callable[[str], list[str]]
"""Returns what an incomplete word may become."""


def completer_of(one: Declared) -> Completer | None:
    """Return what completes the value of an option; None where the shell's own files do."""
    if one.is_word:
        words = [word.replace("_", "-") for kind in one.kinds if get_origin(kind) is Literal for word in get_args(kind)]
        return lambda incomplete: _beginning(incomplete, words)
    return _COMPLETERS.get(one.name)


def complete_kind(incomplete: str) -> list[str]:
    """Complete what `pcbench list` lists."""
    from pcbench.plugins import PLUGIN_GROUPS

    return _beginning(incomplete, PLUGIN_GROUPS)


def complete_model(incomplete: str) -> list[str]:
    """Complete the name of a model of the zoo or of another package, or the prefix of a library's."""
    return _beginning(incomplete, _models())


def complete_suite(incomplete: str) -> list[str]:
    """Complete the name of a suite."""
    return _beginning(incomplete, _suites())


def complete_data(incomplete: str) -> list[str]:
    """Complete the beginning of a source of images."""
    from pcbench.data.names import source_names

    # What stands in capitals is the user's own.
    return _beginning(incomplete, [name.removesuffix("PATH") for name in source_names()])


def _models() -> Iterator[str]:
    from pcbench.models.naming import known_prefixes
    from pcbench.models.zoo import zoo_names
    from pcbench.plugins import plugins

    yield from zoo_names()
    yield from (f"{prefix}:" for prefix in known_prefixes())
    yield from plugins("models")


def _suites() -> Iterator[str]:
    from pcbench.catalog import SUITE_KINDS, suite_names
    from pcbench.plugins import plugins

    for kind in SUITE_KINDS:
        yield from suite_names(kind)
    yield from plugins("suites")


def _definitions(kind: Literal["attacks", "corruptions"]) -> Completer:
    """Return what completes attacks or corruptions: those of every suite as ``SUITE/NAME``."""

    def complete(incomplete: str) -> list[str]:
        from pcbench.catalog import SUITE_FILE, catalog_folder, suite_names
        from pcbench.plugins import plugins

        found = ((suite, path) for suite in suite_names(kind) for path in (catalog_folder(kind) / suite).glob("*.toml"))
        names = [f"{suite}/{path.stem}" for suite, path in found if path.name not in (SUITE_FILE, "baseline.toml")]
        return _beginning(incomplete, [*sorted(names), *plugins(kind)])

    return complete


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


_COMPLETERS: dict[str, Completer] = {
    "model": complete_model,
    "suites": complete_suite,
    "data": complete_data,
    "attacks": _definitions("attacks"),
    "corruptions": _definitions("corruptions"),
}
