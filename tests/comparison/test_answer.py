"""Oracles: made runs whose answers are chosen; what a comparison of the same run says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table
from numpy.typing import NDArray

from pcbench.cli.run_table import print_summary
from pcbench.comparison.answer import Answer, answers
from pcbench.comparison.compare import compare_timesteps
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.terminal import Terminal

IMAGES = 400
Rights = NDArray[np.bool_]


def first(right: int) -> Rights:
    """Return answers of which the first so many are right."""
    return np.arange(IMAGES) < right


def corrupted(folder: Path, severe: list[int], mild: list[int] | None = None) -> Run:
    """Make a run under fog of two severities: how many images are right at each timestep."""
    timesteps = list(range(len(severe)))
    spec = made_spec([made_suite("made-c", IMAGES)], made_data(IMAGES), made_settings(timesteps=timesteps[-1]))
    tables = [made_table(Condition("made-c", "clean", "clean"), timesteps, np.stack([first(390)] * len(severe)))]
    for severity, right in enumerate((mild or [380] * len(severe), severe), 1):
        fog = Condition("made-c", "corruption", "fog", severity)
        tables.append(made_table(fog, timesteps, np.stack([first(one) for one in right])))
    return made_run(folder, spec, {"made-c/all.parquet": pa.concat_tables(tables)})


def attacked(
    folder: Path, right: list[int], *, gradient: str | None = "exact", reasons: list[str] | None = None
) -> Run:
    """Make a run under one attack, with verdicts where there are reasons to tell."""
    spec = made_spec(
        [made_suite("made-linf", IMAGES, kind="attacks")], made_data(IMAGES), made_settings(timesteps=len(right) - 1)
    )
    tables: list[pa.Table] = []
    for timestep, one in enumerate(right):
        tables.append(made_table(Condition("made-linf", "clean", "clean"), [timestep], first(390)[None]))
        within = np.ma.masked_array(~first(one), mask=~first(390))
        columns = {"attacked": first(390), "success": within, "success_within": within}
        condition = Condition("made-linf", "attack", "pgd", None, "linf", 8 / 255, False, gradient, timestep)
        tables.append(made_table(condition, [timestep], first(one)[None], **columns))
    run = made_run(folder, spec, {"made-linf/all.parquet": pa.concat_tables(tables)})
    if reasons is not None:
        kind = "suspicious" if reasons else "consistent"
        entries = [
            {"suite": "made-linf", "timestep": t, "verdict": kind, "reasons": reasons} for t in range(len(right))
        ]
        (run.folder / "checks.json").write_text(json.dumps(entries), encoding="utf-8")
    return run


def about(run: Run, subject: str) -> Answer:
    (found,) = [one for one in answers(run) if one.about == subject]
    return found


def test_a_gain_at_the_last_timestep_is_a_yes_with_the_numbers_of_the_comparison(tmp_path: Path) -> None:
    run = corrupted(tmp_path / "run", [200, 210, 240])
    found = about(run, "corruption")
    (row,) = [row for row in compare_timesteps(run) if row.figure.kind == "corruption" and row.second.timestep == 2]
    assert (found.decision, found.row) == ("yes", row)
    assert found.text == (
        "Yes: at t = 2, the last timestep (the one that pcbench always judges), the network is more accurate than at "
        "t = 0 on the corrupted images of made-c: accuracy under fog 72.5 % → 77.5 %, +5.0 points, 95 % interval "
        f"[+{100 * row.low:.1f}, +{100 * row.high:.1f}], adjusted p ≤ 0.002 (Holm, 2 comparisons), 400 images."
    )
    assert about(run, "attack").text == "No attacks were run, so nothing is known of attacked images."
    console = Terminal(record=True, width=1000)
    print_summary(run, console)
    assert f"- {found.text}" in console.export_text()


@pytest.mark.parametrize(
    ("severe", "decision", "says"),
    [
        (
            [240, 240, 200],
            "no",
            "No: at t = 2, the last timestep (the one that pcbench always judges), the network is less",
        ),
        ([240, 260, 240], "no", "is as accurate as at t = 0 within 1 point on"),
        ([240, 260, 244], "undecided", "is not clearly more or less accurate than at t = 0"),
    ],
)
def test_no_and_undecided(tmp_path: Path, severe: list[int], decision: str, says: str) -> None:
    found = about(corrupted(tmp_path / "run", severe), "corruption")
    assert found.decision == decision
    assert says in found.text
    assert ("could have been missed" in found.text) == (decision == "undecided")
    # The best timestep is told, but as one that was selected.
    best = "; selected afterwards among 2, t = 1 has the largest gain, +2.5 points, 95 % interval [+"
    assert (best in found.text) == (severe[1] == 260)


def test_few_images_without_a_change_are_no_proof_of_none(tmp_path: Path) -> None:
    # Of 400 images up to 0.75 % may be of a kind that none of them is; of 100 images 3 %, more than a point.
    run = corrupted(tmp_path / "run", [240, 240])
    assert about(run, "corruption").decision == "no"
    row = about(run, "corruption").row
    assert row is not None
    from pcbench.comparison import answer

    assert answer._decided(dataclasses.replace(row, images=100), None) == "undecided"


def test_robust_needs_gradients_that_were_checked(tmp_path: Path) -> None:
    cases = {
        "checked": (
            [],
            "exact",
            "yes",
            "Yes: at t = 1, the last timestep (the one that pcbench always judges), the network is more",
        ),
        "unknown": (
            None,
            "exact",
            "undecided",
            "looks more robust than at t = 0 under PGD, L∞ (not checked)",
        ),
        "masked": (["it is zero"], "exact", "undecided", "(gradients suspicious: at t = 1, it is zero (and at t = 0))"),
        "black-box": ([], None, "undecided", "(checked) of made-linf, where only black-box attacks were run"),
    }
    for name, (reasons, gradient, decision, says) in cases.items():
        found = about(attacked(tmp_path / name, [100, 200], gradient=gradient, reasons=reasons), "attack")
        assert found.decision == decision, name
        assert says in found.text, name
    lost = about(attacked(tmp_path / "lost", [200, 100], reasons=[]), "attack")
    assert (lost.decision, "is less robust than at t = 0" in lost.text) == ("no", True)


def test_one_timestep_and_damaged_outcomes_say_that_nothing_was_compared(tmp_path: Path) -> None:
    alone = about(corrupted(tmp_path / "alone", [240]), "corruption")
    assert alone.text.startswith(
        "Undecided: this run has t = 0 only, so there is no later timestep to compare. made-c:"
    )
    assert "accuracy on corrupted images is 77.5 %" in alone.text
    run = attacked(tmp_path / "run", [100, 200])
    shutil.rmtree(run.folder / "outcomes")
    text = about(run, "attack").text
    assert text == (
        "Undecided: the outcomes of made-linf cannot be read, or lack every image, so nothing was compared."
    )


def test_images_that_lack_results_are_counted_in_the_sentence(tmp_path: Path) -> None:
    missing = {"suite": "made-c", "work": "scores", "condition": "fog", "images": "block 2", "reason": "killed"}
    spec = made_spec([made_suite("made-c", IMAGES)], made_data(IMAGES), made_settings(timesteps=1))
    right = np.stack([first(240), first(200)])
    tables = [made_table(Condition("made-c", "corruption", "fog", severity), [0, 1], right) for severity in (1, 2)]
    kept = [f"image-{number:04d}" for number in range(300)]
    tables[1] = tables[1].filter(pc.is_in(tables[1]["image_id"].cast(pa.string()), pa.array(kept)))
    run = made_run(tmp_path / "run", spec, {"made-c/all.parquet": pa.concat_tables(tables)}, {"missing": [missing]})
    found = about(run, "corruption")
    assert found.decision == "no"
    assert "accuracy under fog 80.0 % → 66.7 %" in found.text
    assert "300 images of 400, since the others lack results" in found.text
