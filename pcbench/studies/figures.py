"""The figures of a study: how every arm changes over t for each question, and the curves of input blurs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from pcbench.reports.charts import Chart, joined_verdicts
from pcbench.reports.page.study_figures import blur_chart, change_chart
from pcbench.studies.answers import MEASURES
from pcbench.studies.arms import BLUR, NETWORK
from pcbench.studies.pooled import all_pooled, attacked_sentence, pooled_sentence, pooled_words
from pcbench.studies.study_file import QuestionTable, StudyFile
from pcbench.studies.values import SHARES


def change_charts_of(study: StudyFile, frames: Mapping[str, pd.DataFrame]) -> Iterator[tuple[QuestionTable, Chart]]:
    """Yield each question with its figure, of the table `changes`."""
    for question in study.table.questions:
        yield question, _change(study, question, frames)


def blur_charts_of(study: StudyFile, frames: Mapping[str, pd.DataFrame]) -> Iterator[Chart]:
    """Yield the figure of each suite on which blurs were measured, of the table `blur`."""
    blur = frames["blur"]
    if not len(blur):
        return
    answers = frames["answers"]
    for suite, rows in blur.groupby("suite", sort=False):
        images = int(answers[answers["suite"] == suite]["images"].max())
        measured = next(one for one in study.table.suites if one.label == suite)
        yield blur_chart(rows, ordered_arms(study), images, f"under {all_pooled(measured)}")


def decisive_charts(study: StudyFile, frames: Mapping[str, pd.DataFrame]) -> list[Chart]:
    """Return the figures that are published as files: of each primary question, with what it is decided against.

    The blur stands in all of them where it was measured, since it is the control that most is lost against.
    """
    found: list[Chart] = []
    for question in study.table.questions:
        measured = study.arms_of(study.suite(question.suite))
        named = [name for name in measured if name in question.against or name == BLUR]
        if question.primary:
            found.append(_change(study, question, frames, shown=[NETWORK, *named]))
    return found


def ordered_arms(study: StudyFile) -> list[str]:
    """Return the arms, the network first."""
    return [NETWORK, *(name for name in study.table.arms if name != NETWORK)]


def _attacked_at(study: StudyFile, question: QuestionTable) -> tuple[int, ...] | None:
    """Return at which t images were made against the network as it is there; None where a question is of no attack.

    Only there can what stands be drawn: at another t fewer images are tried, and so more of them stand.
    """
    if question.measure != "standing":
        return None
    return study.suite(question.suite).attacked_timesteps or tuple(range(study.table.timesteps + 1))


def _change(
    study: StudyFile, question: QuestionTable, frames: Mapping[str, pd.DataFrame], shown: Sequence[str] | None = None
) -> Chart:
    """Return the figure of a question: on the page with all arms, as a file with those shown, in the same colours."""
    arms, model = ordered_arms(study), "" if shown is None else study.table.model
    rows, answers = (frame[frame["question"] == question.name] for frame in (frames["changes"], frames["answers"]))
    rows = rows[rows["arm"].isin(arms if shown is None else list(shown))]
    attacked = _attacked_at(study, question)
    if attacked is not None:
        rows = rows[rows["timestep"].isin(attacked)]
    said = [(str(row["against"]), str(row["gradients"])) for _, row in answers.iterrows() if row["gradients"]]
    return change_chart(
        rows,
        arms,
        {
            "name": question.name,
            "suite": question.suite_label,
            "where": f"under {pooled_words(question)}",
            "attacked": attacked_sentence(attacked),
            "pooled": pooled_sentence(question),
            "measure": MEASURES[question.measure],
            "model": model,
        },
        in_points=question.measure in SHARES,
        together=bool(model),
        verdict=joined_verdicts(said) if said else None,
    )
