"""Example images of a run, if it kept some: `examples/index.json` and PNG files in the same folder.

    {"examples_version": 1,
     "examples": [{"image_id": "17", "label": "3",
                   "pictures": [{"file": "17-clean.png", "kind": "clean", "title": "clean", "timestep": null,
                                 "predictions": {"0": "3", "8": "3"}, "probabilities": {"0": 0.98, "8": 0.99}}, …]},
                  …]}

`kind` is one of `KINDS`. `title` is printed under the picture ("gaussian noise, severity 3", "PGD, ε = 8/255",
"perturbation × 10"). `timestep` is set for reconstructions and for adversarial images and their perturbations (the
timestep attacked). `predictions` gives the class that each timestep sees in the picture, and `probabilities` the
probability that it gives to this class; both are empty for perturbations and reconstructions. Runs of former versions
have no probabilities.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from pcbench.catalog import Definition
from pcbench.errors import DataError
from pcbench.limits.text import json_bytes, read_bytes
from pcbench.percent import percent
from pcbench.results.directory import Run

PictureKind = Literal["clean", "corrupted", "adversarial", "perturbation", "reconstruction"]


class Picture(Definition):
    """One picture of an example."""

    file: str
    kind: PictureKind
    title: str
    timestep: int | None = None
    predictions: dict[str, str] = Field(default_factory=dict)
    probabilities: dict[str, float] = Field(default_factory=dict)


class Example(Definition):
    """One image of the run and what was made of it."""

    image_id: str
    label: str
    pictures: tuple[Picture, ...]


class Examples(Definition):
    """All examples of a run."""

    examples_version: Literal[1]
    examples: tuple[Example, ...]


def read_examples(run_folder: Path) -> tuple[Example, ...]:
    """Return the examples a run kept; an empty tuple if it kept none.

    Raises:
        DataError: The index is damaged, or names a file outside its folder or a missing one.
    """
    index = run_folder / "examples" / "index.json"
    if not index.is_file():
        return ()
    try:
        examples = Examples.model_validate_json(json_bytes(index)).examples
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"{index}: {where}: {problem['msg']}; run it again") from None
    for picture in (picture for example in examples for picture in example.pictures):
        path = index.parent / picture.file
        if Path(picture.file).name != picture.file or not path.is_file():
            raise DataError(f"{index}: the picture {picture.file!r} is missing in this folder; run it again")
    return examples


def data_uri(run_folder: Path, picture: Picture) -> str:
    """Return a picture as a data URI."""
    content = read_bytes(run_folder / "examples" / picture.file)
    return "data:image/png;base64," + base64.b64encode(content).decode()


def shown_examples(run: Run) -> list[dict[str, Any]]:
    """Return the examples of a run as a page shows them: pictures, and the answer to each at every timestep."""
    return [
        {
            "image_id": example.image_id,
            "label": example.label,
            "pictures": [
                {
                    "title": _title(picture),
                    "kind": picture.kind,
                    "source": data_uri(run.folder, picture),
                    "answers": {answer["timestep"]: answer for answer in _answers(example, picture)},
                }
                for picture in example.pictures
            ],
            "timesteps": sorted({int(t) for picture in example.pictures for t in picture.predictions}),
        }
        for example in read_examples(run.folder)
    ]


def _title(picture: Picture) -> str:
    """Return what a picture shows, of what, and against which timestep."""
    if picture.kind == "reconstruction":
        # Former versions did not say it.
        return picture.title if " of " in picture.title else f"{picture.title}, of the clean image"
    return picture.title if picture.timestep is None else f"{picture.title}, against t = {picture.timestep}"


def _answers(example: Example, picture: Picture) -> Iterator[dict[str, Any]]:
    for timestep, seen in picture.predictions.items():
        probability = picture.probabilities.get(timestep)
        yield {
            "timestep": int(timestep),
            "seen": seen,
            "probability": "" if probability is None else f"{percent(probability, 0)} %",
            "right": seen == example.label,
        }
