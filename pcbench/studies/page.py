"""The page of a study: what its template shows, from the study's file, record and tables."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pcbench.percent import decimal, interval, percent
from pcbench.reports.page.leaderboard import STUDY_TABLES
from pcbench.reports.page.study_figures import study_figure
from pcbench.studies.answers import MEASURES, ToldAnswer, difference_text
from pcbench.studies.arms import ARMS, PLAIN_NETWORK
from pcbench.studies.figures import blur_charts_of, change_charts_of, ordered_arms
from pcbench.studies.finished import unfinished_words
from pcbench.studies.pooled import pooled_sentence, pooled_words
from pcbench.studies.record import StudyRecord, changed_since, fixed_beforehand
from pcbench.studies.study_file import QuestionTable, StudyFile, SuiteTable
from pcbench.studies.tables import StudyTables
from pcbench.studies.values import SHARES

PAGE_FILE = Path("report") / "index.html"
"""Where the page lies, in the study's folder, beside that of the tables."""
_EVERY = "all"


def study_page_values(
    study: StudyFile, record: StudyRecord, tables: StudyTables, folder: str = f"../{STUDY_TABLES}"
) -> dict[str, Any]:
    """Return everything that the page of a study shows.

    Args:
        study: Its file.
        record: What its folder remembers.
        tables: Its tables, as they were just written.
        folder: Where they lie beside the page.
    """
    frames, questions = tables.frames, study.table.questions
    changes = [
        study_figure(chart, f"{folder}/changes.csv", question.question)
        for question, chart in change_charts_of(study, frames)
    ]
    curves = [study_figure(chart, f"{folder}/blur.csv", "") for chart in blur_charts_of(study, frames)]
    return {
        "title": study.table.title,
        "line": _line(study),
        "changed": changed_since(record, study),
        "unfinished": unfinished_words(study),
        "fixed": fixed_beforehand(record, study),
        "seen_before": study.table.seen_before,
        "pooled": [(question.name, said) for question in questions if (said := pooled_sentence(question))],
        "file": study.path.name,
        "file_sha256": study.sha256,
        "questions": [_question(question, one) for question, one in zip(questions, tables.told, strict=True)],
        "comparisons": [_comparisons(study, question, frames) for question in questions],
        "coverage": tables.coverage,
        "covered": [_covered(row) for _, row in frames["coverage"].iterrows()],
        "changes": changes,
        "curves": curves,
        "figures": [*changes, *curves],
        "arms": [(name, ARMS[name].title, ARMS[name].shows, *_times(frames, name)) for name in ordered_arms(study)],
        "tuned": [_tuned(row) for _, row in frames["arms"].iterrows()],
        "objective": _objective(study.table.tuning.objective, frames["arms"]),
        "facts": _facts(study, record),
        "suites": [_part(study, suite, frames["conditions"]) for suite in study.table.suites],
        "versions": tables.versions,
        "other_images": tables.other_images,
        "tables": linked_files(tables.files, folder),
    }


def linked_files(names: Sequence[str], folder: str) -> list[dict[str, str]]:
    """Return the links of a page to files of a folder."""
    return [{"text": name, "file": f"{folder}/{name}"} for name in names]


def _line(study: StudyFile) -> str:
    """Return what was run, in one line."""
    table = study.table
    suites = ", ".join(suite.label for suite in table.suites)
    counted = f"{_counted('arm', len(table.arms))}, {_counted('training seed', len(table.training_seeds))}"
    return (
        f"{table.model} on {table.data}, t = 0 to {table.timesteps}, under {suites}; {counted} of one backbone. "
        f"File {study.path.name}, {study.sha256[:12]}."
    )


def _counted(what: str, count: int) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _question(question: QuestionTable, told: ToldAnswer) -> dict[str, Any]:
    """Return an answer: the word of each deciding sentence, and the rest of it."""
    split = [sentence.partition(" ") for sentence in told.decisive]
    return {
        "name": question.name,
        "question": told.question,
        "hypothesis": question.hypothesis,
        "sentences": [{"word": word, "rest": f" {rest}"} for word, _, rest in split],
        "beside": told.beside,
    }


def _comparisons(study: StudyFile, question: QuestionTable, frames: Any) -> dict[str, Any]:
    """Return every comparison of a question, with each training seed's own value."""
    answers, seeds = (frame[frame["question"] == question.name] for frame in (frames["answers"], frames["seeds"]))
    of_suite = study.seeds_of(study.suite(question.suite))
    measured = f"{MEASURES[question.measure]} under {pooled_words(question)}"
    shares = question.measure in SHARES
    level = percent if shares else partial(decimal, digits=3)
    return {
        "name": question.name,
        "title": f"{question.name}: the network at t = {study.timestep_of(question)}, {measured}",
        "unit": " (points)" if shares else "",
        "level_unit": " (%)" if shares else "",
        "seeds": of_suite,
        "rows": [
            {
                "against": row["against"],
                "decision": row["decision"],
                "primary": bool(row["primary"]),
                "value": level(row["value"]),
                "other": level(row["other"]),
                "difference": _cell(question, row),
                "p": _p_text(row),
                "gradients": row["gradients"],
                "each": _of_seeds(question, of_suite, seeds[seeds["against"] == row["against"]]),
            }
            for _, row in answers.iterrows()
        ],
    }


def _of_seeds(question: QuestionTable, seeds: Sequence[int], rows: pd.DataFrame) -> list[Any]:
    """Return what each training seed of a suite says; None of those that the other arm does not have."""
    told = {one["training_seed"]: _cell(question, one) for _, one in rows.iterrows()}
    return [told.get(seed) for seed in seeds]


def _cell(question: QuestionTable, row: Any) -> dict[str, Any]:
    form = partial(difference_text, question.measure, unit=False)
    ends = interval(float(row["ci_low"]), float(row["ci_high"]), form)
    return {"value": float(row["difference"]), "number": form(float(row["difference"])), "interval": ends}


def _covered(row: pd.Series) -> tuple[str, ...]:
    """Return what the simulation of a comparison found, as the page's table has it."""
    shares = (percent(float(row[name])) for name in ("coverage", "width", "difference"))
    power = "no such gain is possible" if math.isnan(row["power"]) else percent(float(row["power"]))
    return (str(row["question"]), str(row["against"]), *shares, power)


def _p_text(row: Any) -> str:
    p = float(row["p"] if math.isnan(row["p_holm"]) else row["p_holm"])
    return decimal(p, 3) if p >= 0.001 else "< 0.001"


def _times(frames: Any, arm: str) -> tuple[str, str]:
    """Return the milliseconds of an image, and how many times those of the feedforward network they are."""
    times = {str(row["arm"]): float(row["milliseconds"]) for _, row in frames["image_times"].iterrows()}
    if arm not in times:
        return "", ""
    plain = times.get(PLAIN_NETWORK)
    return f"{times[arm]:.3g}", "" if plain is None else f"{times[arm] / plain:.2g}"


def _tuned(row: pd.Series) -> dict[str, Any]:
    """Return what the tuning of an arm found for one training seed."""
    seed = row["training_seed"]
    return {
        "arm": row["arm"],
        "seed": "" if pd.isna(seed) else int(seed),
        "objective": _number(row["objective"], 3),
        "feedforward": _number(row["objective_feedforward"], 3),
        "noise": row["noise"],
        "tuning": "failed: the feedforward point stands for it" if row["failed_tuning"] else "",
        "width": "" if pd.isna(row["width"]) else f"{row['width']:g}",
        "weights": "; ".join(
            " ".join(f"{weight:.3g}" for weight in of_pcoder)
            for of_pcoder in json.loads(row["hyperparameters"] or "[]")
        ),
        "r_squared": ", ".join(decimal(one, 2) for one in json.loads(row["r_squared"] or "[]")),
    }


def _objective(objective: str, arms: pd.DataFrame) -> str:
    """Return what arms were tuned for: of noise, its levels, or that they differ, as in studies of earlier versions."""
    levels = [one for one in arms["noise"].unique() if one]
    if objective != "noise" or not levels:
        return objective
    if len(levels) == 1:
        return f"noise of {levels[0]}"
    return "noise of levels that differ, so that what the tunings reached is not to be compared"


def _number(value: float, digits: int) -> str:
    return "" if pd.isna(value) else decimal(float(value), digits)


def _facts(study: StudyFile, record: StudyRecord) -> list[tuple[str, str]]:
    """Return what was run, name by name."""
    table = study.table
    training = ", ".join(f"{key} {value}" for key, value in table.training.model_dump().items() if value is not None)
    tuning = ", ".join(f"{key} {value}" for key, value in table.tuning.model_dump().items() if value is not None)
    hours = sum(step.seconds for step in record.steps.values()) / 3600
    return [
        ("model", table.model),
        ("images", table.data),
        ("timesteps", f"0 to {table.timesteps}"),
        ("training seeds", _listed(table.training_seeds)),
        ("training of the predictors", training or "as pcbench train does by itself"),
        ("tuning of every arm", tuning),
        ("begun", record.begun),
        ("steps done", f"{len(record.steps)}, in {decimal(hours, 2)} hours together"),
    ]


def _part(study: StudyFile, suite: SuiteTable, conditions: pd.DataFrame) -> tuple[str, ...]:
    """Return a suite and the part of it that was measured; what is not all of it was cut."""
    return (
        suite.label,
        _EVERY if suite.images is None else str(suite.images),
        _severities_text(suite, conditions),
        _listed(suite.epsilons),
        _listed(suite.attacked_timesteps),
        _seeds_text(study, suite),
        _EVERY if suite.arms is None else _listed(suite.arms),
    )


def _severities_text(suite: SuiteTable, conditions: pd.DataFrame) -> str:
    """Return the severities of a suite, and of noise the levels that they stand for."""
    noise = conditions[(conditions["suite"] == suite.label) & (conditions["condition"] == "noise")]
    levels = ", ".join(f"{level:g}" for level in sorted(noise["noise"].dropna().unique()))
    return _listed(suite.severities) + (f" (noise of {levels})" if levels else "")


def _seeds_text(study: StudyFile, suite: SuiteTable) -> str:
    """Return the training seeds of a suite, and of the arms that have others than the network."""
    seeds = study.seeds_of(suite)
    others: dict[tuple[int, ...], list[str]] = {}
    for name in study.arms_of(suite):
        if name != "deeper" and study.seeds_of(suite, name) != seeds:
            others.setdefault(study.seeds_of(suite, name), []).append(name)
    return "; ".join([_listed(seeds), *(f"{_listed(few)} of {', '.join(arms)}" for few, arms in others.items())])


def _listed(values: Sequence[object] | None) -> str:
    return _EVERY if values is None else ", ".join(map(str, values))
