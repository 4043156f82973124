"""The columns of a run's tables, each declared once: type, unit, meaning. Schemas, readers and the docs follow.

A new column about an image at a timestep that comes from the logits alone needs an entry here and one in
`pcbench.models.scores.scores`; one about an attack an entry here and one in `pcbench.attacks.ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pcbench.network.gradient import GRADIENTS
from pcbench.norms import NORMS

INDEX = "index"
RATIO = "0 to 1"
PIXELS = "[0,1] pixel units"
_LEVEL = (
    "the level of a noise on e_0: its standard deviation (of shot and speckle noise at white, as a share of the range "
    "from black to white), or the share of values that impulse noise replaces"
)


GRADIENT_STATES = ("alive", "zero", "nonfinite")
"""What an attack may find at a step, from the best to the worst."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    type: pa.DataType
    """How it is stored; strings by a dictionary."""
    meaning: str
    """What it is, a clause for the docs."""
    unit: str = ""
    """Its unit or range, where it has one."""
    may_be_empty: bool = False
    """Whether a row can be without it."""
    since: int = 1
    """The first version of the table that has it under this name."""
    former_name: str | None = None
    """What it was called before that version, if it had another name."""


OUTCOMES_VERSION = 4

OUTCOMES_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "label": Column(pa.int32(), "its class", INDEX),
    "suite": Column(pa.string(), "the suite's name"),
    "kind": Column(pa.string(), "`clean`, `corruption`, `noise` or `attack`"),
    "name": Column(pa.string(), "the corruption's or attack's name; `clean` for clean images"),
    "severity": Column(pa.int8(), "the severity, from 1; corruptions and noises only", may_be_empty=True),
    "norm": Column(
        pa.string(), f"the norm of an attack's budget: {', '.join(f'`{name}`' for name in NORMS)}", may_be_empty=True
    ),
    "epsilon": Column(
        pa.float64(),
        f"an attack's budget (8/255 is 0.0314); {_LEVEL}",
        PIXELS,
        may_be_empty=True,
    ),
    "targeted": Column(pa.bool_(), "whether the attack aims at a class", may_be_empty=True),
    "gradient": Column(
        pa.string(),
        f"{' or '.join(f'`{mode}`' for mode in GRADIENTS)}: how the attack differentiates the error term; "
        "empty for attacks without gradients",
        may_be_empty=True,
    ),
    "attacked_timestep": Column(
        pa.int16(),
        "the timestep whose prediction is attacked; empty where all are attacked at once",
        "t",
        may_be_empty=True,
    ),
    "timestep": Column(pa.int16(), "the number of updates; 0 is the feedforward network", "t"),
    "prediction": Column(
        pa.int32(), "the class that the network predicts at this timestep; −1 where its logits are not finite", INDEX
    ),
    "correct": Column(pa.bool_(), "whether that is the label"),
    "confidence": Column(
        pa.float32(), "the softmax probability of the prediction, if there is one", RATIO, may_be_empty=True
    ),
    "margin": Column(
        pa.float32(),
        "the label's logit minus the largest other one: above 0 where the prediction is the label",
        "logits",
        may_be_empty=True,
        since=3,
    ),
    "true_label_probability": Column(
        pa.float32(), "the softmax probability of the label", RATIO, may_be_empty=True, since=3
    ),
    "finite": Column(
        pa.bool_(),
        "whether the logits are finite; where they are not, the image counts as not correct",
        may_be_empty=True,
        since=4,
    ),
    "draws_right": Column(
        pa.float32(),
        "the share of single draws that predict the label, where a network that draws random numbers is asked several "
        "times",
        RATIO,
        may_be_empty=True,
        since=4,
    ),
    "attacked": Column(
        pa.bool_(),
        "whether the attack ran on this image at this ε: not where the image is misclassified from the start, and not "
        "(except in a plain sweep) where a smaller ε had broken it or a larger one left it far from broken",
        may_be_empty=True,
    ),
    "spot_checked": Column(
        pa.bool_(),
        "whether the attack ran only to check that skipping this ε would have been right",
        may_be_empty=True,
        since=3,
        former_name="audited",
    ),
    "success": Column(
        pa.bool_(), "whether it reached its goal at exactly this ε; empty where it did not run", may_be_empty=True
    ),
    "success_within": Column(
        pa.bool_(),
        "whether it reached its goal at this ε or a smaller one of the sweep; empty where the image is misclassified "
        "from the start at this timestep",
        may_be_empty=True,
    ),
    "smallest_broken_epsilon": Column(
        pa.float64(),
        "the first ε of the sweep at which the attack broke this image at this timestep, the same in all its rows; "
        "empty where none did",
        PIXELS,
        may_be_empty=True,
    ),
    **{
        norm.column: Column(pa.float32(), f"{norm.meaning}, as measured", PIXELS, may_be_empty=True, since=norm.since)
        for norm in NORMS.values()
    },
    "first_step_gradient": Column(
        pa.string(),
        f"{' or '.join(f'`{state}`' for state in GRADIENT_STATES)}: what the attack found at its first step, the worst "
        "of its restarts; `zero` is zero in every pixel; empty where it did not run, uses no gradients, or takes its "
        "steps inside a library",
        may_be_empty=True,
        since=4,
    ),
    "later_step_gradient": Column(
        pa.string(),
        "the same, the worst of all later steps; empty also where the attack has one step",
        may_be_empty=True,
        since=4,
    ),
    "queries": Column(
        pa.int32(), "how many times the attack evaluated the network", "forward passes", may_be_empty=True
    ),
}
"""One row per image x condition x timestep: what the network predicted."""

REPRESENTATIONS_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "suite": Column(pa.string(), "the suite's name"),
    "name": Column(pa.string(), "the noise's name"),
    "severity": Column(pa.int8(), "the severity, from 1"),
    "epsilon": Column(
        pa.float64(), f"{_LEVEL}; the noise is put on e_0 after normalisation, unclipped", "units of e_0"
    ),
    "timestep": Column(pa.int16(), "the number of updates", "t"),
    "metric": Column(
        pa.string(),
        "`correlation_distance`: 1 − r between e_n(t) of the clean and of the noisy image at the same t; "
        "`correlation_distance_to_clean_t0`: between e_n(t) of the noisy image and e_n(0) of the clean one; "
        "`reconstruction_error`: the mean squared difference between d_1(t) of the noisy image and the clean e_0",
    ),
    "pcoder": Column(pa.int16(), "n, from 1; empty for the reconstruction", may_be_empty=True),
    "value": Column(pa.float64(), "NaN where one of two representations is constant, so that r is not defined"),
}
"""One row per image x noise x timestep x metric x PCoder: what noise did to the network's states."""

EVIDENCE_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "suite": Column(pa.string(), "the suite's name"),
    "check": Column(pa.string(), "the kind of evidence"),
    "attacked_timestep": Column(pa.int16(), "the timestep that is judged", "t"),
    "timestep": Column(pa.int16(), "the timestep that the number is measured at", "t"),
    "metric": Column(pa.string(), "what the number is"),
    "value": Column(pa.float64(), "the number; 1 and 0 for yes and no"),
    "epsilon": Column(pa.float64(), "the attack's budget", PIXELS),
}
"""One row per image x check x timestep x metric: what the verdict on an attack's gradients is made of."""

GROWTH_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "timestep": Column(pa.int16(), "the number of updates", "t"),
    "pcoder": Column(pa.int16(), "n, from 1"),
    "magnitude": Column(pa.float64(), "the root mean square of e_n(t)"),
}
"""One row per image x timestep x PCoder: the root mean square of a representation of the clean image."""

PRECISION_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "timestep": Column(pa.int16(), "the number of updates", "t"),
    "changed": Column(pa.bool_(), "whether the decision is another one than in float32"),
}
"""One row per image x timestep of a run below float32: whether its precision changes what is decided."""

PICTURES_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "label": Column(pa.string(), "the name of its class"),
    "number": Column(pa.int16(), "the picture's number among those of the image"),
    "kind": Column(pa.string(), "what the picture shows"),
    "title": Column(pa.string(), "its title"),
    "timestep": Column(pa.int16(), "the timestep that it is of", "t", may_be_empty=True),
    "predictions": Column(pa.string(), "JSON: by timestep, the predicted class and its probability"),
    "png": Column(pa.binary(), "the file itself"),
}
"""One row an example image x picture of it, with the file itself."""

ANSWERS_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "timestep": Column(pa.int16(), "the number of updates", "t"),
    "class": Column(pa.int32(), "the class", INDEX),
    "logit": Column(pa.float64(), "its logit"),
}
"""One row per image x timestep x class: by these a network of the user's own is recognised."""

IMAGES_COLUMNS: Mapping[str, Column] = {
    "image_id": Column(pa.string(), "the image's id in its data source"),
    "label": Column(pa.int32(), "its class", INDEX),
    "sha256": Column(pa.binary(), "the hash of its stored bytes"),
}
"""One row per image that a run is on, in the source's order."""

_AS_IN_OUTCOMES = ("norm", "epsilon", "targeted", "gradient", "attacked_timestep")

METRICS_COLUMNS: Mapping[str, Column] = {
    "model": Column(pa.string(), "the model's name"),
    "suite": Column(pa.string(), "the suite's name"),
    "kind": Column(
        pa.string(),
        "`clean`, `corruption`, `noise`, `attack`, or, where several conditions are pooled, `family` (the corruptions "
        "of one family) and `summary`",
    ),
    "name": Column(pa.string(), "the corruption, noise, attack or family; empty for summaries", may_be_empty=True),
    "severity": Column(pa.int8(), "the severity, from 1; empty where all severities are pooled", may_be_empty=True),
    **{name: OUTCOMES_COLUMNS[name] for name in _AS_IN_OUTCOMES},
    "timestep": Column(pa.int16(), "the number of updates; 0 is the feedforward network", "t"),
    "baseline": Column(
        pa.string(),
        "the network that a corruption error is relative to, with images, day and run where `pcbench baseline` made "
        "it; followed by `(subset, not comparable)` where the run is on a part of the suite's images or classes",
        may_be_empty=True,
    ),
    "metric": Column(pa.string(), "what the number is, see below"),
    "value": Column(
        pa.float64(),
        "the number; NaN where it is a mean over no image",
        "a ratio: 1.0 is 100 %, or the baseline's own error; for distances their own unit",
    ),
    "ci_low": Column(pa.float64(), "the lower end of its 95 % interval", "as `value`"),
    "ci_high": Column(pa.float64(), "the upper end of its 95 % interval", "as `value`"),
    "n": Column(pa.int64(), "how many images the number is over (the eligible ones)", "images"),
    "share_of_pixel_range": Column(
        pa.float64(),
        "the standard deviation of `gaussian_noise` as a share of the range from black to white, the mean over the "
        "channels; where the network states the standard deviations that images are divided by",
        RATIO,
        may_be_empty=True,
        since=2,
    ),
    "marks": Column(
        pa.string(),
        "what must be known of the number, separated by `; `: `at chance` (of an accuracy: the lower end of its "
        "interval is not above 1 / classes), `tuned on these images` (β, λ and α were chosen on some of them), "
        "`severities 1 and 3` (the run measures these alone, and the number pools them)",
        may_be_empty=True,
        since=2,
    ),
}
"""One row a number: `metrics.csv` and `metrics.parquet`."""


def table_of_columns(columns: Mapping[str, Column], in_pandas: Callable[[Column], str] | None = None) -> str:
    """Return the table that docs/reference/tables.md shows of some columns.

    Args:
        columns: The columns.
        in_pandas: Says what pandas calls the type of a column, where pcbench gives them as a DataFrame.
    """
    heads = ["column", "type", *([] if in_pandas is None else ["in pandas"]), "unit or range", "meaning"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, column in columns.items():
        stored = {"float": "float32", "double": "float64"}.get(str(column.type), str(column.type))
        stored += ", may be empty" if column.may_be_empty else ""
        since = f" (since version {column.since})" if column.since > 1 and column.former_name is None else ""
        former = "" if column.former_name is None else f" (before version {column.since}: `{column.former_name}`)"
        stored += "" if in_pandas is None else f" | {in_pandas(column)}"
        lines.append(f"| `{name}` | {stored} | {column.unit} | {column.meaning}{since}{former} |")
    return "\n".join(lines)
