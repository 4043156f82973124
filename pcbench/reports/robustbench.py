"""A run as entries with all keys of RobustBench's model files.

Source: the keys are those of `ModelInfo` in `robustbench/utils.py` (version 1.1.1), and `unreliable`, which its files
have besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pcbench.catalog import Definition, load_definition
from pcbench.metrics.marks import named_severities
from pcbench.metrics.shown import own_timestep
from pcbench.norms import NORMS, epsilon_text
from pcbench.percent import percent
from pcbench.reports.charts import texts
from pcbench.results.directory import Run
from pcbench.results.verdicts import NOT_CHECKED, read_verdicts

ROBUSTBENCH_KEYS = (
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "dataset",
    "venue",
    "architecture",
    "eps",
    "clean_acc",
    "reported",
    "corruptions_acc",
    "corruptions_acc_3d",
    "corruptions_mce",
    "corruptions_mce_3d",
    "autoattack_acc",
    "footnote",
    "unreliable",
)
"""The keys of every entry; what is not known is None."""
_DIGITS = 2
"""How many decimals RobustBench's model files have."""
_THREE_DIMENSIONAL = "3dcc"


class PublishedPaper(Definition):
    """What a run cannot know of a network: the table `[publication]` of a TOML file; all keys may be left out."""

    link: str | None = None
    """The paper's address."""
    name: str | None = None
    """The paper's title."""
    authors: str | None = None
    """Its authors."""
    additional_data: bool | None = None
    """Whether the network was trained on other data than the data set's."""
    venue: str | None = None
    """Where it was published."""
    architecture: str | None = None
    """The network in the paper's words."""
    reported: str | None = None
    """The accuracy that the paper reports, in percent."""
    footnote: str | None = None
    """A remark, which follows pcbench's own."""


class _PublicationFile(Definition):
    publication: PublishedPaper


def read_publication(path: Path) -> PublishedPaper:
    """Read the table `[publication]` of a TOML file.

    Raises:
        DefinitionError: The file is missing or broken, or has other keys.
    """
    return load_definition(_PublicationFile, path).publication


def robustbench_entries(run: Run, publication: PublishedPaper) -> Iterator[dict[str, Any]]:
    """Yield one entry for each timestep and threat model, with the keys of RobustBench's model files.

    Numbers are percent, as there. Only AutoAttack has `autoattack_acc`; other attacks have `robust_acc` and their
    name, with the verdict on their gradients. `footnote` states what is not comparable with the leaderboard.

    Args:
        run: The run.
        publication: What it cannot know.
    """
    metrics = run.metrics
    verdicts = {(verdict.suite, verdict.timestep): verdict.verdict for verdict in read_verdicts(run.folder)}
    clean = metrics[(metrics["kind"] == "clean") & (metrics["metric"] == "accuracy")]
    known = {**dict.fromkeys(ROBUSTBENCH_KEYS), **publication.model_dump()}
    for suite in texts(metrics["suite"]):
        of_suite = clean[clean["suite"] == suite]
        for timestep, accuracy in zip(of_suite["timestep"], of_suite["value"], strict=True):
            own = f"measured by pcbench, suite {suite}, timestep {timestep} of a predictive network"
            common = {
                **known,
                "model": f"{run.spec.model['name']}, t = {timestep}",
                "dataset": run.spec.data.name,
                "number_forward_passes": int(timestep) + 1,
                "clean_acc": percent(accuracy, _DIGITS),
                "footnote": own if publication.footnote is None else f"{own}; {publication.footnote}",
            }
            rows = metrics[(metrics["suite"] == suite) & (metrics["timestep"] == int(timestep))]
            verdict = verdicts.get((suite, int(timestep)), NOT_CHECKED)
            for entry in _threat_entries(suite, rows):
                yield common | entry | _reliability(verdict, attacked="attack" in entry)


def _reliability(verdict: str, *, attacked: bool) -> dict[str, Any]:
    """Return whether a number can be relied on: not known where nobody checked the gradients of an attack."""
    if not attacked:
        return {"unreliable": False}
    return {"gradients": verdict, "unreliable": None if verdict == NOT_CHECKED else verdict == "suspicious"}


def _threat_entries(suite: str, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    robust = own_timestep(rows[(rows["metric"] == "robust_accuracy") & (rows["epsilon"] > 0)])
    for name, norm, epsilon, value in zip(
        robust["name"], robust["norm"], robust["epsilon"], robust["value"], strict=True
    ):
        key = "autoattack_acc" if name == "autoattack" else "robust_acc"
        yield {
            "threat_model": NORMS[norm].library_name if norm in NORMS else norm,
            "eps": epsilon_text(epsilon, norm),
            "attack": name,
            key: percent(value, _DIGITS),
        }
    summaries = rows[(rows["kind"] == "summary") & rows["severity"].isna()]
    accuracy = summaries[summaries["metric"] == "accuracy"]["value"]
    if len(accuracy):
        end = "_3d" if _THREE_DIMENSIONAL in suite else ""
        entry = {"threat_model": f"corruptions{end}", f"corruptions_acc{end}": percent(accuracy.iloc[0], _DIGITS)}
        named = named_severities(rows)
        entry |= {"corruptions": named} if named else {}
        mce = summaries[summaries["metric"] == "mean_corruption_error"]
        if len(mce):
            entry |= {
                f"corruptions_mce{end}": percent(mce["value"].iloc[0], _DIGITS),
                "mce_baseline": mce["baseline"].iloc[0],
            }
        yield entry
