"""Oracles: made runs whose answers are chosen, and counts of their images worked by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table
from numpy.typing import NDArray

from pcbench.comparison.compare import compare_runs, compare_timesteps
from pcbench.comparison.sentences import Said, leading, run_sentences, sentences
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run

IMAGES = 100
FOG = [Condition("made-c", "corruption", "fog", severity) for severity in (1, 2)]
PGD = Condition("made-linf", "attack", "pgd", None, "linf", 8 / 255, False, "exact")
Answers = NDArray[np.bool_]


def first(right: int) -> Answers:
    """Return answers of which the first so many are right."""
    return np.arange(IMAGES) < right


def corrupted(folder: Path, severe: list[Answers], *, mild: list[Answers] | None = None, clean: int = 90) -> Run:
    """Make a run under fog; the milder one is answered as the severe one, unless something else is given."""
    timesteps = list(range(len(severe)))
    spec = made_spec([made_suite("made-c", IMAGES)], made_data(IMAGES), made_settings(timesteps=timesteps[-1]))
    answers = zip(FOG, (severe if mild is None else mild, severe), strict=True)
    tables = [made_table(fog, timesteps, np.stack(right)) for fog, right in answers]
    tables.append(made_table(Condition("made-c", "clean", "clean"), timesteps, np.stack([first(clean)] * len(severe))))
    return made_run(folder, spec, {"made-c/all.parquet": pa.concat_tables(tables)})


def attacked(
    folder: Path, answers: list[Answers], clean: int = 90, checks: list[dict[str, object]] | None = None
) -> Run:
    """Make a run under one attack at one budget, each timestep attacked by itself."""
    suite = made_suite("made-linf", IMAGES, kind="attacks")
    spec = made_spec([suite], made_data(IMAGES), made_settings(timesteps=len(answers) - 1))
    tables: list[pa.Table] = []
    for timestep, right in enumerate(answers):
        tables.append(made_table(Condition("made-linf", "clean", "clean"), [timestep], first(clean)[None]))
        within = np.ma.masked_array(~right, mask=~first(clean))
        columns = {"attacked": first(clean), "success": within, "success_within": within}
        condition = dataclasses.replace(PGD, attacked_timestep=timestep)
        tables.append(made_table(condition, [timestep], right[None], **columns))
    run = made_run(folder, spec, {"made-linf/all.parquet": pa.concat_tables(tables)})
    if checks is not None:
        (run.folder / "checks.json").write_text(json.dumps(checks), encoding="utf-8")
    return run


def at(said: list[Said], timestep: int, word: str) -> str:
    """Return the one sentence about a timestep that holds a word."""
    (text,) = [one.text for one in said if one.timestep == timestep and word in one.text]
    return text


def entry(timestep: int, *reasons: str) -> dict[str, object]:
    verdict = "suspicious" if reasons else "consistent"
    return {"suite": "made-linf", "timestep": timestep, "verdict": verdict, "reasons": list(reasons)}


def test_a_sentence_says_all_that_a_reader_needs(tmp_path: Path) -> None:
    run = corrupted(tmp_path / "run", [first(80), first(60), first(80)])
    said = run_sentences(run)
    text = at(said, 1, "corrupted")
    start = "made-c: t = 1 is less accurate than t = 0 on corrupted images: accuracy under fog 80.0 % → 60.0 %, "
    assert text.startswith(f"{start}−20.0 points, 95 % interval [−2")
    assert text.endswith("adjusted p < 0.001 (Holm, 2 comparisons), 100 images.")
    same = "made-c: t = 2 is the same as t = 0 on corrupted images: accuracy under fog 80.0 %, no image of 100 differs."
    assert at(said, 2, "corrupted") == same
    assert at(said, 0, "corrupted").startswith("made-c: accuracy on corrupted images is 80.0 %, 95 % interval [")
    assert [text for text in leading(said) if "corrupted" in text] == [same]


def test_four_images_that_agree_are_not_a_finding(tmp_path: Path) -> None:
    # Four of four agree in an eighth of all runs without a change; the bootstrap alone has p = 0.04.
    later = np.where(np.arange(IMAGES) < 4, False, first(80))
    run = corrupted(tmp_path / "run", [first(80), later], mild=[first(95)] * 2)
    text = at(run_sentences(run), 1, "corrupted")
    (row,) = [row for row in compare_timesteps(run) if row.figure.kind == "corruption"]
    assert (row.test, row.changed) == ("bootstrap", 4)
    assert "t = 1 is not clearly different from t = 0" in text
    assert "(one comparison)" in text


def test_a_change_is_found_among_many_timesteps(tmp_path: Path) -> None:
    # With as many resamples as for few comparisons, no p value would stay below 0.05 after Holm's factor.
    later = 60
    run = corrupted(tmp_path / "run", [first(80), *[first(30)] * later], mild=[first(95)] * (later + 1))
    rows = [row for row in compare_timesteps(run) if row.figure.kind == "corruption"]
    assert len(rows) == later
    assert all((row.test, row.comparisons) == ("bootstrap", later) and row.p_holm < 0.05 for row in rows)


def test_one_timestep_alone_is_told_by_values(tmp_path: Path) -> None:
    said = run_sentences(attacked(tmp_path / "run", [first(30)]))
    text = at(said, 0, "robust")
    assert text.startswith("made-linf: robust accuracy under PGD, L∞ (not checked) within ε = 8/255 is 30.0 %, 95 %")
    assert text in leading(said)


def test_a_network_that_is_always_wrong_is_told_without_a_claim(tmp_path: Path) -> None:
    run = attacked(tmp_path / "run", [first(0), first(0)], clean=0)
    text = at(run_sentences(run), 1, "robust")
    assert "t = 1 is the same as t = 0 under PGD, L∞ (not checked): robust accuracy within ε = 8/255, 0.0 %" in text


def test_suspicious_gradients_only_look_robust(tmp_path: Path) -> None:
    zero = "the gradient is zero at 40.0 % of 32 images"
    run = attacked(tmp_path / "run", [first(30), first(70)], checks=[entry(0), entry(1, zero)])
    text = at(run_sentences(run), 1, "robust")
    assert f"t = 1 looks more robust than t = 0 under PGD, L∞ (gradients suspicious: at t = 1, {zero}): rob" in text
    checked = attacked(tmp_path / "checked", [first(30), first(70)], checks=[entry(0), entry(1)])
    assert "t = 1 is more robust than t = 0 under PGD, L∞ (checked)" in at(run_sentences(checked), 1, "robust")
    half = attacked(tmp_path / "half", [first(30), first(70)], checks=[entry(1)])
    assert "under PGD, L∞ (not checked)" in at(run_sentences(half), 1, "robust")


def test_images_made_against_another_timestep_tell_nothing_about_robustness(tmp_path: Path) -> None:
    suite = made_suite("made-linf", IMAGES, kind="attacks")
    spec = made_spec([suite], made_data(IMAGES), made_settings(timesteps=2))
    condition = dataclasses.replace(PGD, attacked_timestep=1)
    tables = [made_table(Condition("made-linf", "clean", "clean"), [t], first(90)[None]) for t in (0, 1, 2)]
    for timestep, right in enumerate((30, 50, 70)):
        within = np.ma.masked_array(~first(right), mask=~first(90))
        columns = {"attacked": first(90), "success": within, "success_within": within}
        tables.append(made_table(condition, [timestep], first(right)[None], **columns))
    run = made_run(tmp_path / "run", spec, {"made-linf/all.parquet": pa.concat_tables(tables)})
    (row,) = [row for row in compare_timesteps(run) if row.figure.made_against == 1]
    where = "under PGD, L∞, images made against t = 1 (not checked): accuracy within"
    start = f"made-linf: t = 2 is more accurate than t = 0 {where}"
    assert sentences([row])[0].startswith(start)


def test_two_runs_of_other_lengths_meet_at_their_last_timesteps(tmp_path: Path) -> None:
    runs = corrupted(tmp_path / "a", [first(80)] * 2), corrupted(tmp_path / "b", [first(80), first(80), first(40)])
    said = sentences(compare_runs(*runs, ("a", "b")))
    assert any("b at t = 2 is less accurate than a at t = 1 on corrupted images" in text for text in said)
    assert any("(Holm, 3 comparisons)" in text for text in said)


def test_images_that_a_condition_lacks_are_left_out_of_all(tmp_path: Path) -> None:
    missing = {"suite": "made-c", "work": "scores", "condition": "fog", "images": "block 2", "reason": "killed"}
    timesteps = [0, 1]
    spec = made_spec([made_suite("made-c", IMAGES)], made_data(IMAGES), made_settings(timesteps=1))
    parts = [made_table(fog, timesteps, np.stack([first(80), first(60)])) for fog in FOG]
    kept = [f"image-{number:04d}" for number in range(70)]
    parts[1] = parts[1].filter(pc.is_in(parts[1]["image_id"].cast(pa.string()), pa.array(kept)))
    run = made_run(tmp_path / "run", spec, {"made-c/all.parquet": pa.concat_tables(parts)}, {"missing": [missing]})
    text = at(run_sentences(run), 1, "corrupted")
    # Of the 70 images that all have, 70 and 60 are right.
    assert "accuracy under fog 100.0 % → 85.7 %" in text
    assert "70 images" in text


@pytest.mark.parametrize("right", [0, 100])
def test_values_at_the_edges(tmp_path: Path, right: int) -> None:
    run = corrupted(tmp_path / "run", [first(right), first(right)], clean=right)
    assert f"{right}.0 %, no image of 100 differs." in at(run_sentences(run), 1, "corrupted")
