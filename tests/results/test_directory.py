"""Oracle: the promise of the run folder itself: whole under its name, or not there; read back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pcbench.errors import DataError, UsageError
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run, open_run, partial_folder
from pcbench.results.run_spec import DataSpec, RunSpec, Settings, SuiteSpec
from pcbench.results.schema import outcome_table, read_outcomes, write_outcomes
from pcbench.results.workspace import begin

SETTINGS = Settings(
    seed=0,
    timesteps=1,
    batch_size=2,
    gradient="exact",
    plain_sweep=False,
    epsilons=None,
    corruption_backend="fast",
    jpeg_quality=None,
    precision="float32",
    compiled=False,
    device="cpu",
    threads=1,
    checks=False,
)
SPEC = RunSpec(
    version=1,
    model={"name": "made"},
    data=DataSpec(name="digits", split="test", fingerprint="0", available=2, preprocessing={"resize": None}),
    suites=(SuiteSpec(name="fog-only", kind="corruptions", version="1", sha256="0", images=2, subset=False),),
    settings=SETTINGS,
    versions={"pcbench": "0"},
)
CONDITION = Condition("fog-only", "corruption", "fog", severity=3)
COLUMNS = {
    "image_id": np.array(["a", "b"]),
    "label": np.array([1, 2]),
    "timestep": np.array([0, 0]),
    "prediction": np.array([1, 1]),
    "correct": np.array([True, False]),
    "confidence": np.array([0.5, 0.75], dtype=np.float32),
    "queries": np.ma.array([7, 0], mask=[False, True]),
}


def finish(folder: Path, spec: RunSpec = SPEC, *, again: bool = False) -> Run:
    space = begin(folder, spec, again=again)
    write_outcomes(outcome_table(CONDITION, COLUMNS), space.finished / "outcomes" / "fog-only" / "fog-3.parquet")
    return space.finish({})


def other(**settings: object) -> RunSpec:
    return SPEC.model_copy(update={"settings": SETTINGS.model_copy(update=settings)})


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"batch_size": 3}, {"precision": "tf32"}, {"threads": 2}, {"epsilons": (0.1,)}]
)
def test_every_choice_changes_the_key(change: dict[str, object]) -> None:
    assert other(**change).key() != SPEC.key()


def test_a_spec_survives_the_way_through_json() -> None:
    spec = other(epsilons=(0.5, 1.0))
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_run_is_read_back_as_written(tmp_path: Path) -> None:
    run = finish(tmp_path / "run")
    assert open_run(tmp_path / "run").spec == SPEC
    table = run.outcomes("fog-only")
    assert table["image_id"].tolist() == ["a", "b"]
    assert table["severity"].tolist() == [3, 3]
    assert table["queries"].isna().tolist() == [False, True]
    assert not partial_folder(tmp_path / "run").exists()


def test_an_unfinished_run_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    begin(tmp_path / "run", SPEC, again=False)
    with pytest.raises(UsageError, match="unfinished"):
        open_run(tmp_path / "run")
    with pytest.raises(UsageError, match="unfinished"):
        open_run(tmp_path / "run.partial")


def test_a_stopped_run_of_the_same_key_goes_on_and_of_another_starts_anew(tmp_path: Path) -> None:
    done = begin(tmp_path / "run", SPEC, again=False).folder / "outcomes" / "x.parquet"
    done.parent.mkdir()
    done.write_bytes(b"done")
    begin(tmp_path / "run", SPEC, again=False)
    assert done.is_file()
    begin(tmp_path / "run", other(seed=1), again=False)
    assert not done.is_file()


def test_what_is_not_ours_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("dear")
    with pytest.raises(UsageError, match="no run of pcbench"):
        begin(tmp_path / "thesis", SPEC, again=True)
    finish(tmp_path / "run")
    with pytest.raises(UsageError, match="another run"):
        begin(tmp_path / "run", other(seed=1), again=False)
    assert finish(tmp_path / "run", other(seed=1), again=True).key == other(seed=1).key()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        begin(tmp_path / "file" / "run", SPEC, again=False)


def test_a_changed_or_missing_file_is_named(tmp_path: Path) -> None:
    run = finish(tmp_path / "run")
    path = run.outcome_files()[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"fog-3\.parquet"):
        open_run(tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        open_run(tmp_path / "run")


def test_outcomes_of_another_version_or_shape_are_refused(tmp_path: Path) -> None:
    table = outcome_table(CONDITION, COLUMNS)
    path = tmp_path / "x.parquet"
    pq.write_table(table.replace_schema_metadata({"pcbench_outcomes_version": "0"}), path)
    with pytest.raises(DataError, match="version 0"):
        read_outcomes(path)
    pq.write_table(table.drop_columns(["queries"]), path)
    with pytest.raises(DataError, match="columns"):
        read_outcomes(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="cannot be read"):
        read_outcomes(path)
