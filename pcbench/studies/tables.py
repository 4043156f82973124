"""The tables of a study, small enough to be published: answers, seeds, changes over t, arms, and the curve of blurs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcbench import files
from pcbench.limits.text import read_json
from pcbench.metrics.two_way import two_way
from pcbench.models.training_notes import training_header
from pcbench.network.configuration import read_configuration
from pcbench.reports.page.leaderboard import NETWORKS, STUDY_TABLES
from pcbench.results.directory import open_run
from pcbench.results.environment import METRICS_CODE, PARTS_CODE, code_hash
from pcbench.results.metrics_table import csv_frame
from pcbench.studies.answers import ArmComparison, ToldAnswer, comparisons_of, told_answer
from pcbench.studies.arms import ARMS, BLUR, NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.basis import MODEL_FACTS
from pcbench.studies.conditions import condition_rows
from pcbench.studies.covered import coverage_rows, coverage_sentence
from pcbench.studies.evidence import evidence_rows
from pcbench.studies.finished import unfinished_words
from pcbench.studies.networks import network_rows
from pcbench.studies.options import Given
from pcbench.studies.pooled import named_conditions, pooled_sentence
from pcbench.studies.record import StudyRecord, changed_since, fixed_beforehand
from pcbench.studies.steps import (
    RUNS,
    TIMED,
    TUNED,
    curve_arm,
    curve_suites,
    measured_arms,
    predictors_file,
    steps_of,
)
from pcbench.studies.study_file import QuestionTable, StudyFile
from pcbench.studies.timing import time_rows
from pcbench.studies.tunings import level_words, levels_of_result, other_images_words, tuning_result
from pcbench.studies.values import values_of
from pcbench.training.found import score_of

STUDY_ANSWERS = "answers.md"
ABOUT = "about.json"
TIMES = "times.csv"
"""How long each step took."""
_WHERE = (
    "Accuracy under each level of noise and each corruption is in conditions.csv, each training seed by itself in "
    "seeds.csv, what each tuning reached in arms.csv, what each check of the attacks found in checks.csv, the versions "
    "of the runs in about.json. `pcbench study run` measures the study again, and `pcbench study check` compares."
)


@dataclass(frozen=True)
class StudyTables:
    """The tables of a study as they are written, for its page."""

    frames: Mapping[str, pd.DataFrame]
    """By the names of their files without the ending; some may be empty."""
    told: Sequence[ToldAnswer]
    """The answers, in the order of the questions."""
    answers: str
    """The same as Markdown."""
    coverage: str
    """How often the intervals hold the truth, in words; empty where that was not simulated."""
    versions: Mapping[str, str]
    """With which the runs were computed, and the code of the tables."""
    other_images: str = ""
    """Which arms were tuned on other images than the network, in a sentence."""

    @property
    def files(self) -> list[str]:
        """The names of the tables that have rows, and of the answers in words."""
        return [*(f"{name}.csv" for name, frame in self.frames.items() if len(frame)), STUDY_ANSWERS]


def write_study_tables(study: StudyFile, record: StudyRecord, out: Path) -> StudyTables:
    """Write all tables of a finished study, and its answers in words.

    Raises:
        DataError: A run is missing or damaged.
        WriteError: They cannot be written.
    """
    comparisons = comparisons_of(study, out)
    covered = list(coverage_rows(comparisons))
    tables = {
        "answers": pd.DataFrame([_answer_row(one) for one in comparisons]),
        "seeds": pd.DataFrame([row for one in comparisons for row in _seed_rows(one)]),
        "changes": pd.DataFrame(_change_rows(study, out)),
        "arms": pd.DataFrame(_arm_rows(study, out)),
        "blur": pd.DataFrame(_blur_rows(study, out)),
        "conditions": pd.DataFrame(condition_rows(study, out)),
        "checks": pd.DataFrame(evidence_rows(study, out)),
        "coverage": pd.DataFrame(covered),
        Path(NETWORKS).stem: network_rows(study, out),
        Path(TIMES).stem: pd.DataFrame(_step_rows(record)),
        "image_times": pd.DataFrame(_image_time_rows(out)),
    }
    for name, table in tables.items():
        if len(table):
            files.make_folder(out / STUDY_TABLES)
            text = csv_frame(table).to_csv(index=False, float_format="%.6g")
            files.write(out / STUDY_TABLES / f"{name}.csv", text)
    told = told_answers(study, comparisons)
    coverage = coverage_sentence(covered, sum(one.primary for one in comparisons))
    other_images = other_images_words(out, measured_arms(study), study.table.training_seeds)
    answers = answers_text(study, record, told, (other_images, coverage))
    computed = _computed_with(study, out)
    files.write(out / STUDY_TABLES / STUDY_ANSWERS, answers)
    about = {
        "title": study.table.title,
        "file": study.path.name,
        "file_sha256": study.sha256,
        "changed": changed_since(record, study),
        "unfinished": unfinished_words(study),
        "fixed_beforehand": fixed_beforehand(record, study),
        "seen_before": study.table.seen_before,
        **({"basis": {key: part.value for key, part in record.basis.items()}} if record.basis else {}),
        **computed,
    }
    files.write(out / STUDY_TABLES / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return StudyTables(tables, told, answers, coverage, computed["versions"], other_images)


def _computed_with(study: StudyFile, out: Path) -> dict[str, Any]:
    """Return what the runs measured, with which versions, the code of the tables, and the kinds of processors."""
    measured: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    machines: set[str] = set()
    for step in steps_of(study, Given(out)):
        if step.kind == "run":
            run = open_run(out / step.name, verify=False)
            machines.update(run.manifest.get("machines", {}))
            if step.arm == NETWORK and not measured:
                measured = {key: str(run.spec.model[key]) for key in MODEL_FACTS if run.spec.model.get(key)}
                measured["data_fingerprint"] = run.spec.data.fingerprint
            for name, version in run.spec.versions.items():
                found.setdefault(name, set()).add(version)
    named = {name: " and ".join(sorted(each)) for name, each in sorted(found.items())}
    named["pcbench_tables_code"] = code_hash((*PARTS_CODE, *METRICS_CODE, "training", "studies"))
    return {"measured": measured, "versions": named, "machines": sorted(machines)}


def told_answers(study: StudyFile, comparisons: Sequence[ArmComparison]) -> list[ToldAnswer]:
    """Return the answers of a study, in the order of its questions."""
    of_questions = [
        [one for one in comparisons if one.question.name == question.name] for question in study.table.questions
    ]
    return [told_answer(study, of_question) for of_question in of_questions]


def answers_text(study: StudyFile, record: StudyRecord, told: Sequence[ToldAnswer], notes: Sequence[str]) -> str:
    """Return the answers of a study as Markdown: one paragraph a question, and what was fixed beforehand.

    Args:
        study: Its file.
        record: What its folder remembers.
        told: The answers.
        notes: What else a reader must know, in paragraphs; empty ones are left out.
    """
    lines = [f"# {study.table.title}", ""]
    for warning in (changed_since(record, study), unfinished_words(study)):
        lines += [f"**{warning}**", ""] if warning else []
    for question, answer in zip(study.table.questions, told, strict=True):
        lines += [f"## {question.name}", "", answer.paragraph, ""]
        lines += [f"Expected beforehand: {question.hypothesis}", ""]
    lines += ["## How", "", fixed_beforehand(record, study), f"Seen before: {study.table.seen_before}", ""]
    for question in study.table.questions:
        pooled = pooled_sentence(question)
        lines += [f"{question.name}: {pooled}", ""] if pooled else []
    for note in notes:
        lines += [note, ""] if note else []
    lines += [_WHERE, "", f"File {study.path.name}, sha256 {study.sha256}."]
    return "\n".join(lines) + "\n"


def _answer_row(one: ArmComparison) -> dict[str, Any]:
    found = one.difference
    return {
        "question": one.question.name,
        "measure": one.question.measure,
        "suite": one.question.suite_label,
        "conditions": _conditions(one.question),
        "timestep": one.timestep,
        "against": one.against,
        "primary": one.primary,
        "value": one.value,
        "other": one.other,
        "difference": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "p": found.p,
        "p_holm": np.nan if one.p_holm is None else one.p_holm,
        "decision": one.decision,
        "margin": one.question.margin,
        "smallest_found": one.smallest,
        "gradients": one.believed or "",
        "images": found.images,
        "training_seeds": found.seeds,
    }


def _conditions(question: QuestionTable) -> str:
    """Return the conditions that a question names; empty where it is about all of its suite."""
    return ", ".join(named_conditions(question))


def _seed_rows(one: ArmComparison) -> Iterator[dict[str, Any]]:
    for each in one.each:
        yield {
            "question": one.question.name,
            "conditions": _conditions(one.question),
            "against": one.against,
            "training_seed": each.seed,
            "value": each.value,
            "other": each.other,
            "difference": each.difference.value,
            "ci_low": each.difference.low,
            "ci_high": each.difference.high,
        }


def _change_rows(study: StudyFile, out: Path) -> Iterator[dict[str, Any]]:
    """Yield the change of every arm since t = 0, at each t; an arm without time against the network's t = 0."""
    for question in study.table.questions:
        start = values_of(study, question, NETWORK, out)
        for arm in study.arms_of(study.suite(question.suite)):
            if question.measure == "distance" and ARMS[arm].timeless:
                continue
            values = values_of(study, question, arm, out)
            if values.images != start.images:
                continue
            before = start.of_seeds(values.seeds) if ARMS[arm].timeless else values
            for timestep in range(values.numbers.shape[2]):
                uncertain = math.hypot(values.uncertain(timestep), before.uncertain(0))
                found = two_way(values.at(timestep) - before.at(0), uncertain=uncertain)
                itself = timestep == 0 and (arm == PLAIN_NETWORK or not ARMS[arm].timeless)
                yield {
                    "question": question.name,
                    "conditions": _conditions(question),
                    "arm": arm,
                    "timestep": timestep,
                    "value": float(values.at(timestep).mean()),
                    "change": found.value,
                    "ci_low": 0.0 if itself else found.low,  # the same answers: no change, whatever the images
                    "ci_high": 0.0 if itself else found.high,
                    "images": found.images,
                    "training_seeds": len(values.seeds),
                }


def _arm_rows(study: StudyFile, out: Path) -> Iterator[dict[str, Any]]:
    for arm in measured_arms(study):
        for seed in (None,) if arm == "deeper" else study.seeds_of_arm(arm):
            result = tuning_result(out, arm, seed)
            yield {
                "arm": arm,
                "training_seed": seed,
                "what": ARMS[arm].title,
                "objective": result.get("objective", np.nan),
                "objective_feedforward": _objective_of(result, "feedforward"),
                "objective_other": _objective_of(result, "best_other"),
                "noise": level_words(levels_of_result(result) or _named_levels(study, arm, result)),
                "failed_tuning": bool(result.get("failed", False)),
                "width": result.get("width", np.nan),
                "hyperparameters": _hyperparameters(result, out / TUNED / f"{arm}-seed-{seed}-start.toml"),
                "r_squared": _r_squared(study, out, arm, seed),
            }


def _named_levels(study: StudyFile, arm: str, result: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the levels that the file names, for a tuning whose record does not hold them, as earlier ones of blurs."""
    objective = ARMS[arm].objective or study.table.tuning.objective
    if not result or "conditions" in result or objective != "noise":
        return ()
    return study.table.tuning.noise or ()


def _image_time_rows(out: Path) -> list[dict[str, Any]]:
    return time_rows(read_json(out / TIMED)) if files.is_file(out / TIMED) else []


def _step_rows(record: StudyRecord) -> Iterator[dict[str, Any]]:
    """Yield how long each step took; it differs from machine to machine, unlike the other tables."""
    for name, step in record.steps.items():
        yield {"step": name, "seconds": step.seconds, "ended": step.ended}


def _hyperparameters(result: Mapping[str, Any], given: Path) -> str:
    """Return β, λ and α as they were found, or, of an arm that is not tuned, as they were given."""
    if "hyperparameters" in result:
        return json.dumps(result["hyperparameters"])
    if result or not files.is_file(given):
        return ""
    weights = read_configuration(given).hyperparameters
    return json.dumps([[one.feedforward, one.feedback, one.error_weight] for one in weights])


def _objective_of(result: Mapping[str, Any], point: str) -> float:
    """Return the objective of the feedforward point, or of the best that was tried beside it."""
    found: Mapping[str, Any] | None = result.get(point)
    return float("nan") if found is None else score_of(found).value


def _r_squared(study: StudyFile, out: Path, arm: str, seed: int | None) -> str:
    if not ARMS[arm].trained or seed is None:
        return ""
    found: Any = training_header(out / predictors_file(study, arm, seed)).get("r_squared")
    return "" if found is None else str(found)


def _blur_rows(study: StudyFile, out: Path) -> Iterator[dict[str, Any]]:
    """Yield the points of the curve, and those of the arms: clean accuracy against accuracy under a suite."""
    if BLUR not in study.table.arms:
        return
    for suite in curve_suites(study):
        for width in study.table.of_arm(BLUR).widths:
            folder = out / RUNS / suite.label / curve_arm(width)
            if not study.has_run(suite, curve_arm(width), None):
                continue
            yield {
                "suite": suite.label,
                "point": BLUR,
                "training_seed": None,
                "width": width,
                **_clean_and_suite(folder, 0),
            }
        for arm in study.arms_of(suite):
            for seed in study.seeds_of(suite, arm):
                name = NETWORK if arm == "feedforward" else arm
                timestep = 0 if ARMS[arm].timeless else study.last_timestep(arm)
                folder = out / RUNS / suite.label / run_name(name, None if arm == "deeper" else seed)
                numbers = _clean_and_suite(folder, timestep)
                yield {"suite": suite.label, "point": arm, "training_seed": seed, "width": np.nan, **numbers}


def _clean_and_suite(folder: Path, timestep: int) -> dict[str, float]:
    rows = open_run(folder, verify=False).outcomes(folder.parent.name)
    rows = rows[rows["timestep"] == timestep]
    clean, others = rows[rows["kind"] == "clean"], rows[rows["kind"] != "clean"]
    return {"clean_accuracy": float(clean["correct"].mean()), "accuracy": float(others["correct"].mean())}
