"""What the verbs print with `--json`: keys that stay, as types, which docs/reference/json.md is made from.

Shares are from 0 to 1, differences of shares from -1 to 1. A number that is not finite is null.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class AnswerForm(TypedDict):
    """Whether the last timestep is better than t = 0, of one suite."""

    suite: str | None
    """The suite; null where none of this kind was run."""
    about: str
    """`corruption` or `attack`."""
    decision: str
    """`yes`, `no` or `undecided`."""
    sentence: str
    """The sentence, with its evidence."""


class ShownNumber(TypedDict):
    """One number of the tables that a run ends with."""

    suite: str
    """The suite."""
    setting: str | None
    """Of several settings of hyperparameters, which; null where there is one."""
    timestep: int
    """The timestep."""
    what: str
    """The column's heading, such as `severity 3`."""
    value: float | None
    """A share or a ratio; null where it is not known."""


class RunForm(TypedDict):
    """A finished run: `run`, `merge`, `show`."""

    key: str
    """The run's key."""
    model: str
    """The network."""
    folder: str
    """Where the run lies."""
    page: str | None
    """Its page; null where none was made."""
    found: bool
    """Whether it had been computed before."""
    numbers: list[ShownNumber]
    """The numbers of the tables; `metrics.csv` in the folder has all."""
    answers: list[AnswerForm]
    """The answers."""
    sentences: list[str]
    """The leading sentences about what is in no answer."""
    notes: list[str]
    """The run's notes."""
    missing: list[dict[str, Any]]
    """What could not be computed, with the reason."""


class ShardForm(TypedDict):
    """A finished shard: `run --shard`."""

    shard: int
    """Its number."""
    of: int
    """How many there are."""
    units: int
    """How many units it has done."""
    folder: str
    """Where it lies."""


class StudyStepForm(TypedDict):
    """One step of a study: a training, a tuning, a run."""

    name: str
    """Which it is."""
    kind: str
    """`train`, `configure`, `tune`, `blur` or `run`."""
    done: bool
    """Whether it is done."""


class StudyKindForm(TypedDict):
    """Steps of one kind, which take about the same time each: `study plan --measure`."""

    what: str
    """In words."""
    left: int
    """How many are still to be done."""
    hours: float | None
    """How long all of them take; null where nothing tells."""


class StudyPlanForm(TypedDict):
    """How far a study is: `study plan`, `study status`."""

    steps: list[StudyStepForm]
    """All steps, in order."""
    measured: list[StudyKindForm]
    """With `--measure`, what is left by kind; else empty."""
    hours_left: float | None
    """How long the rest takes, by what is known of it; null where that is not known of every step."""


class StudyAnswersForm(TypedDict):
    """The answers of a finished study: `study run`, `study report`."""

    folder: str
    """The study's folder, with its tables."""
    page: str
    """Its page."""
    answers: str
    """The answers in words, as Markdown."""


class ArrayForm(TypedDict):
    """One array of an extraction."""

    name: str
    """The array."""
    module: str | None
    """Whose output it is."""
    shape: list[int]
    """Images, timesteps, and the rest."""
    bytes: int
    """Its size."""


class ExtractionForm(TypedDict):
    """An extraction: `extract`, `merge`."""

    key: str
    """Its key."""
    model: str
    """The network."""
    folder: str | None
    """Where it lies; null before it is made (`--dry-run`)."""
    arrays: list[ArrayForm]
    """Its arrays."""
    notes: list[str]
    """Its notes."""


class ComparisonForm(TypedDict):
    """Runs, or the timesteps of one run: `compare`."""

    rows: list[dict[str, Any]]
    """All comparisons, with the columns of `comparison.csv`."""
    answers: list[AnswerForm]
    """Of one run, its answers; empty for several."""


class GateRowForm(TypedDict):
    """A guarded accuracy; all numbers are shares of the images."""

    suite: str
    """The suite."""
    what: str
    """What was done to the images."""
    timestep: int
    """The timestep."""
    pooled: bool
    """Whether it sums the suite up."""
    images: int
    """How many images."""
    reference: float
    """Accuracy in the reference."""
    value: float
    """Accuracy in the run."""
    drop: float
    """`reference` − `value`."""
    lower: float
    """Lower bound of the drop, of all rows together."""
    upper: float
    """Upper bound."""
    detectable: float | None
    """The smallest drop that would be shown with the probability `power`; null where none would."""
    failed: bool
    """Whether it fails."""


class GateForm(TypedDict):
    """What a check found: `check`."""

    passed: bool
    """Whether the exit code is 0."""
    verdict: str
    """The result in one sentence."""
    run: str
    """The run's key."""
    reference: str
    """The reference's key."""
    tolerated: float
    """The tolerated drop."""
    alpha: float
    """Probability of any false alarm."""
    power: float
    """Probability with which `detectable` drops are shown."""
    images_needed: int | None
    """With `--power`, how many images the wished drop needs in every row; else null."""
    changed: int
    """How many single answers differ."""
    answers: int
    """How many were compared."""
    notes: list[str]
    """Notes."""
    rows: list[GateRowForm]
    """All guarded rows."""


class ListedRun(TypedDict):
    """One finished run of `runs`."""

    key: str
    """The run's key."""
    model: str
    """The network."""
    suites: list[str]
    """Its suites."""
    headline: list[str]
    """The main number of each suite at the first and the last timestep, in words."""
    started: str | None
    """When it began, in ISO 8601; null in runs of former versions."""
    bytes: int
    """The size of its folder."""
    folder: str
    """Where it lies."""


class RunsForm(TypedDict):
    """The finished runs below a folder: `runs`."""

    runs: list[ListedRun]
    """The newest first."""


class RunState(TypedDict):
    """How far one run is."""

    folder: str
    """Where it lies; what is run, before its folder is known."""
    state: str
    """`under way`, `finished`, `stopped` or `failed`."""
    sentence: str
    """The same in words, with what is known."""


class ShardStateForm(TypedDict):
    """How far one shard is."""

    folder: str
    """Where it lies."""
    state: str
    """`done`, `running`, `stopped` or `failed`."""
    share: float | None
    """How much of its work is done; null where it does not say."""
    seconds_left: float | None
    """How long it still takes; null where it does not say."""
    note: str
    """Who works on it, or why it failed."""


class StatusForm(TypedDict):
    """Which runs are under way, how far a run or its shards are: `status`."""

    runs: list[RunState]
    """The runs; empty where the folder holds shards."""
    shards: list[ShardStateForm]
    """The shards; empty where the folder is a run."""


class FittedForm(TypedDict):
    """One trained predictor."""

    pcoder: str
    """Its PCoder."""
    r_squared: float | None
    """R² on held-out images."""
    how: str
    """How it was fitted."""


class TrainForm(TypedDict):
    """What a training wrote: `train`."""

    weights: str
    """The file."""
    sha256: str
    """Its hash."""
    command: str
    """The command that uses it."""
    predictors: list[FittedForm]
    """The predictors; empty where R² is not measured."""


class ScoreForm(TypedDict):
    """One row of a tuning's table."""

    what: str
    """Which hyperparameters."""
    accuracy: float | None
    """Accuracy at T on the tuning images; null where the network diverges."""
    cross_entropy: float | None
    """Cross-entropy at T there; null as above."""


class TuneForm(TypedDict):
    """What a tuning found: `tune`."""

    rows: list[ScoreForm]
    """The table."""
    failed: bool
    """Whether all were worse than the feedforward point, which the file then holds."""
    file: str
    """The configuration that was written."""
    course: str
    """The file of its course."""
    command: str
    """The command that uses it."""


class PredictorShown(TypedDict):
    """One predictor of a file of weights."""

    pcoder: int
    """Its number."""
    file: str
    """Where it lies."""
    tensors: dict[str, list[int]]
    """The shape of each tensor."""
    parameters: int
    """How many numbers."""
    scale: float | None
    """C of the gradient's scale, where the file holds it."""
    r_squared: float | None
    """R² on held-out images, where the file holds it."""


class WeightsForm(TypedDict):
    """What weights hold: `show FILE`."""

    path: str
    """The file or folder."""
    predictors: list[PredictorShown]
    """The predictors."""
    backbone: int
    """How many tensors of a backbone there are."""
    others: list[str]
    """The tensors that belong to neither."""
    epochs: list[int]
    """The epochs that a folder holds."""
