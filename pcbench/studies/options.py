"""The options of a study: where things lie on this machine. All that decides a number is in the study's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from typing_extensions import TypedDict

from pcbench.arguments import MOST_PROCESSES
from pcbench.catalog import refuse_missing
from pcbench.data.names import PLACE as SOURCE_PLACE
from pcbench.options import Option


class StudyOptions(TypedDict):
    """The options of `pcbench study run` and `plan`."""

    out: Annotated[Path | str | None, Option("The study's folder; by default results/studies/STUDY.")]
    data: Annotated[str | None, Option("Where the measured images are.", place=SOURCE_PLACE)]
    """By default the source that the file names."""
    training_data: Annotated[str | None, Option("Where the images for training and tuning are.", place=SOURCE_PLACE)]
    """By default the measured source, whose other splits are taken."""
    backbone_weights: Annotated[Path | str | None, Option("Safetensors of the backbone.")]
    deeper_weights: Annotated[Path | str | None, Option("Those of the network of the arm deeper.")]
    workers: Annotated[
        Annotated[int, Ge(1), Le(MOST_PROCESSES)] | Literal["auto"], Option("Processes of each run.", default="auto")
    ]


def folder_of_study(study: Path, out: Path | str | None) -> Path:
    """Return the folder of a study.

    Raises:
        DefinitionError: The study's file is not there.
    """
    refuse_missing(study)
    return Path("results") / "studies" / study.stem if out is None else Path(out)


def given_by(study: Path, options: StudyOptions) -> Given:
    """Return where things lie, from the options of a command.

    Raises:
        DefinitionError: The study's file is not there.
    """
    backbone, deeper = options["backbone_weights"], options["deeper_weights"]
    return Given(
        out=folder_of_study(study, options["out"]),
        data=options["data"],
        training_data=options["training_data"],
        backbone_weights=None if backbone is None else Path(backbone),
        deeper_weights=None if deeper is None else Path(deeper),
        workers=options["workers"],
    )


@dataclass(frozen=True)
class Given:
    """Where things lie on the machine of a study; no number depends on it."""

    out: Path
    """The folder of the study."""
    data: str | None = None
    """The source that is measured, with its folder or file; None where its name is enough."""
    training_data: str | None = None
    """The source that predictors are trained and arms are tuned on; None for the measured one, whose splits differ."""
    backbone_weights: Path | None = None
    """Weights of the backbone; None where they come with pcbench or from the library that publishes them."""
    deeper_weights: Path | None = None
    """Weights of the network of the arm `deeper`."""
    workers: int | str = "auto"
    """Processes of each run."""
