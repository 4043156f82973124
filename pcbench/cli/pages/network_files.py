"""The page docs/reference/network_files.md: the keys of a predictive network's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from pcbench.catalog import package_folder
from pcbench.cli.pages.markdown import MADE, definition_section, example_section
from pcbench.network.configuration import HyperparameterTable, NetworkTable, PCoderTable
from pcbench.network.controls import Control

_HEADINGS: Mapping[type[BaseModel], str] = {
    NetworkTable: "The whole file",
    PCoderTable: "`[[pcoders]]`",
    HyperparameterTable: "`[pcoders.hyperparameters]`",
    Control: "`[control]`",
}
_EXAMPLE = Path("models") / "configurations" / "pvgg16_paper.toml"
_HEAD = f"""# Configurations of networks

{MADE}

A configuration says on which modules of a CNN the PCoders sit, how each predicts the layer below, and β, λ and α. The
format is that of Predify (Choksi et al., NeurIPS 2021, arXiv 2106.02749), whose files are read without changes.
`output`, `backbone`, `error_window`, `predicts`, `control` and `tuned_on` are keys of pcbench. A key that is not listed
here is refused, with the nearest known one. All keys are there since version 0.1.0, unless a table says otherwise.

`pcbench predify --backbone mine:network > mine.toml` writes one to start from, and `pcbench predify mine.toml` shows
what it makes of the CNN. What the keys do is explained in [network.md](../explanation/network.md). Predictors are
layers of `torch.nn` with literal arguments: the text is parsed, and nothing else in it is run.

"""


def network_files_page() -> str:
    """Return the page as Markdown."""
    example = (package_folder() / _EXAMPLE).read_text(encoding="utf-8")
    sections = [definition_section(cls, _HEADINGS) for cls in _HEADINGS]
    return _HEAD + "\n".join([*sections, example_section(f"pcbench/{_EXAMPLE.as_posix()}", example)])
