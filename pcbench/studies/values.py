"""What the runs of an arm say of each image: one number for each training seed, image and timestep."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pcbench.errors import DataError
from pcbench.metrics.calibration import UNCERTAIN, calibration_terms, negative_log_likelihoods
from pcbench.metrics.rates import Floats
from pcbench.metrics.representations import CORRELATION_DISTANCE_TO_START
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import MANIFEST, Run, open_run
from pcbench.studies.arms import NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.steps import RUNS
from pcbench.studies.study_file import Measure, QuestionTable, StudyFile

_KEYS = ["image_id", "timestep"]
LOWER_IS_BETTER: frozenset[Measure] = frozenset({"nll", "ece", "distance"})
"""Measures of which less is better."""
SHARES: frozenset[Measure] = frozenset({"accuracy", "standing", "ece"})
"""Measures that are at most 1, and printed in percent."""


@dataclass(frozen=True)
class ArmValues:
    """The numbers of an arm."""

    arm: str
    seeds: tuple[int | None, ...]
    """The training seeds; a single None where the arm has none."""
    images: tuple[str, ...]
    """Ids, in the order of the numbers."""
    numbers: Floats
    """(seeds, images, timesteps): at t = 0 .. T."""
    folders: tuple[Path, ...]
    """The run of each seed."""
    excess: Floats | None = None
    """(seeds, timesteps): what was taken off each mean, since chance makes it too large; None for nothing."""

    def of_seeds(self, seeds: Sequence[int | None]) -> ArmValues:
        """Return the numbers of those of its seeds that are among some; without seeds, on either side, all of them."""
        if (None,) in (tuple(seeds), self.seeds):
            return self
        rows = [row for row, seed in enumerate(self.seeds) if seed in seeds]
        return replace(
            self,
            seeds=tuple(self.seeds[row] for row in rows),
            numbers=self.numbers[rows],
            folders=tuple(self.folders[row] for row in rows),
            excess=None if self.excess is None else self.excess[rows],
        )

    def at(self, timestep: int) -> Floats:
        """Return the numbers (seeds, images) at a timestep; an arm without time has those of t = 0."""
        return self.numbers[:, :, min(timestep, self.numbers.shape[2] - 1)]

    def uncertain(self, timestep: int) -> float:
        """Return the standard deviation of what was taken off at a timestep."""
        if self.excess is None:
            return 0.0
        return UNCERTAIN * float(self.excess[:, min(timestep, self.excess.shape[1] - 1)].mean())


def values_of(study: StudyFile, question: QuestionTable, arm: str, out: Path) -> ArmValues:
    """Return the numbers of an arm for a question.

    Raises:
        DataError: A run is missing or damaged, or seeds were measured on different images.
    """
    suite = study.suite(question.suite)
    of_run = NETWORK if arm == PLAIN_NETWORK else arm
    seeds: tuple[int | None, ...] = study.seeds_of(suite, arm) if of_run != "deeper" else (None,)
    folders = tuple(out / RUNS / suite.label / run_name(of_run, seed) for seed in seeds)
    tables = [_table(question.model_dump_json(), folder, _state(folder)) for folder in folders]
    images = tuple(tables[0].index)
    for folder, table in zip(folders, tables, strict=True):
        if tuple(table.index) != images:
            raise DataError(
                f"{folders[0].parent}: {folders[0].name} and {folder.name} are not of the same images, and training "
                "seeds are compared on the same: delete the run of the others, and give the former images with `data`"
            )
    numbers = np.stack([table["value"].to_numpy(dtype=np.float64) for table in tables])
    excess = np.stack([table["excess"].iloc[0].to_numpy(dtype=np.float64) for table in tables])
    if arm == PLAIN_NETWORK:
        numbers, excess = numbers[:, :, :1], excess[:, :1]
    return ArmValues(arm, seeds, images, numbers, folders, excess)


def _state(folder: Path) -> tuple[int, ...]:
    """Return what tells whether a run is the one that was read before."""
    path = folder / MANIFEST
    found = path.stat() if path.is_file() else None
    return () if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


@functools.lru_cache(maxsize=2048)
def _table(asked: str, folder: Path, state: tuple[int, ...]) -> pd.DataFrame:
    """Return one row an image, sorted by id, and for `value` and `excess` one column a timestep."""
    del state  # another one is read again
    question = QuestionTable.model_validate_json(asked)
    run = open_run(folder, verify=False)
    rows = _MEASURES[question.measure](run, question)
    if rows.empty:
        raise DataError(f"{folder}: holds no rows for the question {question.name!r}; name other conditions")
    if "excess" not in rows:
        rows = rows.assign(excess=0.0)
    wanted = ["value", "excess"]
    return rows.pivot_table(index="image_id", columns="timestep", values=wanted, aggfunc="mean", observed=True)


def _chosen(rows: pd.DataFrame, question: QuestionTable, kinds: Sequence[str]) -> pd.DataFrame:
    found = rows[rows["kind"].isin(list(kinds))]
    if question.conditions is None:
        return found
    known = {str(name) for name in found["name"].unique()}
    unknown = [name for name in question.conditions if name not in known]
    if unknown:
        raise DataError(
            f"the question {question.name!r}: {unknown[0]!r} was not measured; there are {', '.join(sorted(known))}"
        )
    return found[found["name"].isin(list(question.conditions))]


def _accuracy(run: Run, question: QuestionTable) -> pd.DataFrame:
    rows = _chosen(run.outcomes(question.suite_label), question, CORRUPTED)
    return rows.assign(value=rows["correct"].astype(float))


def _nll(run: Run, question: QuestionTable) -> pd.DataFrame:
    rows = _chosen(run.outcomes(question.suite_label), question, CORRUPTED)
    probability = rows["true_label_probability"].fillna(0.0)  # an answer that is not finite gives the label nothing
    return rows.assign(value=negative_log_likelihoods(probability.to_numpy(dtype=np.float32)))


def _ece(run: Run, question: QuestionTable) -> pd.DataFrame:
    """Return each image's part of the calibration error; an answer that is not finite counts as sure and wrong."""
    rows = _chosen(run.outcomes(question.suite_label), question, CORRUPTED)
    names, image = np.unique(rows["image_id"].astype(str), return_inverse=True)
    confidence = rows["confidence"].fillna(1.0).to_numpy(dtype=np.float64)
    correct, at = rows["correct"].to_numpy(dtype=bool), rows["timestep"].to_numpy()
    found: list[pd.DataFrame] = []
    for timestep in np.unique(at):
        here = at == timestep
        terms, excess = calibration_terms(confidence[here], correct[here], image[here])
        found.append(pd.DataFrame({"image_id": names, "timestep": timestep, "value": terms, "excess": excess}))
    return pd.concat(found) if found else rows


def _distance(run: Run, question: QuestionTable) -> pd.DataFrame:
    rows = run.representations()
    rows = rows[(rows["suite"] == question.suite_label) & (rows["metric"] == CORRELATION_DISTANCE_TO_START)]
    last = max((int(pcoder) for pcoder in rows["pcoder"].dropna().unique()), default=0)
    return rows[rows["pcoder"] == last]


def _standing(run: Run, question: QuestionTable) -> pd.DataFrame:
    """Return for each image and t the share of the suite's ε within which no image of any attack breaks it there.

    These are the images that were made against t itself, and those that were made against every other attacked
    timestep and scored at t. An image that is wrong when it is clean stands at none.
    """
    own = run.outcomes(question.suite_label)
    attacks = _chosen(own, question, ("attack",))
    epsilons = np.array(sorted({float(value) for value in attacks["epsilon"].unique() if value > 0}))
    broken = attacks[~attacks["correct"].astype(bool) & (attacks["epsilon"] > 0)]
    first = broken.groupby(_KEYS, observed=True)["epsilon"].min()
    wrong = own[(own["kind"] == "clean") & ~own["correct"].astype(bool)].groupby(_KEYS, observed=True).size()
    images = own[own["image_id"].isin(attacks["image_id"].unique())]
    rows = images[_KEYS].drop_duplicates().set_index(_KEYS)
    limit = first.reindex(rows.index).fillna(np.inf).to_numpy()
    stands = (epsilons[None, :] < limit[:, None]).mean(1)
    rows["value"] = np.where(rows.index.isin(wrong.index), 0.0, stands)
    return rows.reset_index()


_MEASURES: Mapping[Measure, Callable[[Run, QuestionTable], pd.DataFrame]] = {
    "accuracy": _accuracy,
    "standing": _standing,
    "nll": _nll,
    "ece": _ece,
    "distance": _distance,
}
