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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from pcbench.catalog import Definition
from pcbench.errors import DataError
from pcbench.limits.text import json_bytes
from pcbench.percent import percent
from pcbench.reports.page.pictures import Embedded, embedded
from pcbench.results.directory import Run

_WHERE = "the folder `examples` of the run"
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


def shown_examples(run: Run, room: int, beside: Path | None) -> dict[str, Any]:
    """Return the examples of a run as a page shows them.

    Args:
        run: The run.
        room: How many characters its pictures may take.
        beside: The folder of the page; None where it is not known.

    Returns:
        `examples`, each with its pictures and the answer to each at every timestep, and `examples_notes`, what is said
        of them in sentences.

    Raises:
        DataError: The index or a picture is damaged.
    """
    found = read_examples(run.folder)
    folder = run.folder / "examples"
    made = embedded(folder, [[picture.file for picture in example.pictures] for example in found], room)
    shown = [one for one in found if all(picture.file in made.sources for picture in one.pictures)]
    linked = made.side is not None and beside is not None and beside.resolve() == (run.folder / "report").resolve()
    examples = [
        {
            "image_id": example.image_id,
            "label": example.label,
            "pictures": [
                {
                    "title": _title(picture),
                    "kind": picture.kind,
                    "source": made.sources[picture.file],
                    "file": f"../examples/{picture.file}" if linked else "",
                    "answers": {answer["timestep"]: answer for answer in _answers(example, picture)},
                }
                for picture in example.pictures
            ],
            "timesteps": sorted({int(t) for picture in example.pictures for t in picture.predictions}),
        }
        for example in shown
    ]
    return {"examples": examples, "examples_notes": list(_notes(shown, len(found), made, linked=linked))}


def _notes(shown: Sequence[Example], kept: int, made: Embedded, *, linked: bool) -> Iterator[str]:
    """Yield what a reader must know of the examples: no more than is there is promised."""
    pictures = [picture for example in shown for picture in example.pictures]
    classes = [(seen, one.label) for one in shown for picture in one.pictures for seen in picture.predictions.values()]
    if classes:
        probable = ", and the probability that it gives it" if any(one.probabilities for one in pictures) else ""
        yield f"The answer of each timestep to each picture: its class{probable}."
    if any(seen != label for seen, label in classes):
        yield "A wrong answer is marked ✗."
    if classes and any(not picture.predictions for picture in pictures):
        yield "Perturbations and reconstructions are shown without an answer: no network was asked about them."
    if made.side is not None:
        whole = "each leads to its whole PNG file" if linked else f"the whole PNG files are in {_WHERE}"
        yield (
            f"To keep this page small, large pictures are reduced here to at most {made.side} pixels a side, as JPEG, "
            f"which changes fine detail such as a perturbation; {whole}."
        )
    if len(shown) < kept:
        yield f"{len(shown)} of {kept} images fit into this page; the others are in {_WHERE}."


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
