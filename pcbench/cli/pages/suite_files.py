"""The keys of suites: docs/reference/suite_files.md, and the README.md of each folder of suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from pcbench.attacks.definitions import AttackDefinition, AttackHeader, NetworkSettings, load_attack_suite
from pcbench.attacks.libraries import FUNCTION, library_names
from pcbench.catalog import SuiteHeader, SuiteKind, catalog_folder, suite_names
from pcbench.cli.pages.markdown import (
    MADE,
    definition_section,
    example_section,
    keys_table,
    prose,
    table,
)
from pcbench.corruptions.definitions import (
    Baseline,
    BaselineImages,
    CorruptionDefinition,
    CorruptionHeader,
    load_corruption_suite,
)
from pcbench.corruptions.functions import FUNCTIONS
from pcbench.corruptions.own import ONLY_PUBLISHED
from pcbench.data.layout import PublishedLayout

_NAMED_BY_FILE = ("name",)
_HEADINGS: Mapping[type[BaseModel], str] = {
    AttackHeader: "`suite.toml` of attacks",
    NetworkSettings: "`[network]` in `suite.toml`",
    AttackDefinition: "The file of an attack",
    CorruptionHeader: "`suite.toml` of corruptions",
    PublishedLayout: "`[published]` in `suite.toml`",
    CorruptionDefinition: "The file of a corruption",
    Baseline: "`baseline.toml`",
    BaselineImages: "`[images]` in `baseline.toml`",
}
_FUNCTION_ROW = (
    "`function`",
    'text, `"module:name"`',
    "",
    "In place of `library` and `attack`: a function of your own, (model, images, labels, epsilon) → images.",
)
_HEAD = f"""# The files of suites

{MADE}

A suite is a folder with a `suite.toml` and one TOML file for each attack or corruption, which has the file's name. A
suite of your own lies in a folder named `attacks` or `corruptions`; `--suite path/to/corruptions/mine` names it. A key
that is not listed here is refused, with the nearest known one. All keys are there since version 0.1.0, unless a table
says otherwise.

The suites that come with pcbench are in the folders [attacks/](../../attacks/README.md) and
[corruptions/](../../corruptions/README.md) of the repository, and in the installed package.

"""
_FOLDER_HEADS: Mapping[SuiteKind, str] = {
    "attacks": f"""# Suites of attacks

{MADE}

Each folder is a suite: a `suite.toml`, and one TOML file for each attack, which has the file's name. What the numbers
mean stands in [docs/explanation/attacks.md](../docs/explanation/attacks.md), and the same tables as here, beside those
of corruptions, in [docs/reference/suite_files.md](../docs/reference/suite_files.md).

""",
    "corruptions": f"""# Suites of corruptions

{MADE}

Each folder is a suite: a `suite.toml`, one TOML file for each corruption, which has the file's name, and for CE and mCE
a `baseline.toml`. How each is made stands in [docs/reference/corruptions.md](../docs/reference/corruptions.md), and the
same tables as here, beside those of attacks, in [docs/reference/suite_files.md](../docs/reference/suite_files.md).

""",
}


def suite_files_page() -> str:
    """Return docs/reference/suite_files.md."""
    return _HEAD + "\n".join([*_attacks(), *_corruptions()])


def attacks_readme() -> str:
    """Return attacks/README.md."""
    return _FOLDER_HEADS["attacks"] + "\n".join([*_shipped("attacks", load_attack_suite), *_attacks()])


def corruptions_readme() -> str:
    """Return corruptions/README.md."""
    return _FOLDER_HEADS["corruptions"] + "\n".join([*_shipped("corruptions", load_corruption_suite), *_corruptions()])


def _shipped(kind: SuiteKind, load: Callable[[Path], SuiteHeader]) -> Iterator[str]:
    yield "## The suites\n"
    rows: list[tuple[str, str, str, str]] = []
    for name in suite_names(kind):
        folder = catalog_folder(kind) / name
        suite = load(folder)
        members = getattr(suite, kind)
        rows.append((f"[`{name}`]({name}/suite.toml)", suite.version, str(len(members)), suite.source))
    yield table(("suite", "version", kind, "source"), rows)


def _attacks() -> Iterator[str]:
    yield definition_section(AttackHeader, _HEADINGS)
    yield definition_section(NetworkSettings, _HEADINGS)
    yield definition_section(AttackDefinition, _HEADINGS, _NAMED_BY_FILE, [_FUNCTION_ROW])
    yield f"Libraries: {', '.join(f'`{name}`' for name in library_names() if name != FUNCTION)}.\n"
    yield _example("attacks", "digits-linf/pgd.toml")


def _corruptions() -> Iterator[str]:
    yield definition_section(CorruptionHeader, _HEADINGS)
    yield definition_section(PublishedLayout, _HEADINGS)
    yield definition_section(CorruptionDefinition, _HEADINGS, _NAMED_BY_FILE)
    yield _example("corruptions", "imagenet-c/gaussian_noise.toml")
    yield from _functions()
    yield definition_section(Baseline, _HEADINGS)
    yield definition_section(BaselineImages, _HEADINGS)


def _example(kind: SuiteKind, name: str) -> str:
    return example_section(f"{kind}/{name}", (catalog_folder(kind) / name).read_text(encoding="utf-8"))


def _functions() -> Iterator[str]:
    yield "## The functions of corruptions\n"
    yield (
        "What `function` may name, with the parameters of each: for every one a file gives one value a severity. "
        f"`{ONLY_PUBLISHED}` has none, since its images are read from files. ImageNet-C is Hendrycks and Dietterich, "
        "ICLR 2019, arXiv 1903.12261; ImageNet-C-bar is Mintun, Kirillov and Xie, NeurIPS 2021, arXiv 2102.11273.\n"
    )
    for name, function in FUNCTIONS.items():
        yield f"### `{name}`\n\n{prose(function)}\n"
        yield keys_table(function, {}).replace("| key |", "| parameter |", 1)
