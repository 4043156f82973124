"""Oracle: files that the version before the redesign wrote (`run/`, `user.npz`, `adversarials/`, the committed
reference): what they say, and that the same program gives the same answers again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pcbench
from pcbench.catalog import catalog_folder
from pcbench.cli.show import show_command
from pcbench.comparison.comparability import require_same_images
from pcbench.comparison.compare import compare_runs, compare_timesteps
from pcbench.comparison.gate import check_run
from pcbench.comparison.reference import Reference, freeze, read_reference, write_reference
from pcbench.errors import DataError, UsageError
from pcbench.harness.configuration import configuration
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.suites import read_definition
from pcbench.reports.page.examples import read_examples
from pcbench.reports.page.page import write_page
from pcbench.reports.page.pictures import embedded
from pcbench.results.adversarials import load_adversarials
from pcbench.results.directory import Run, open_run
from pcbench.results.environment import folder_hash
from pcbench.results.run_spec import RunSpec, differences, former_suites
from pcbench.results.verdicts import read_verdicts

HERE = Path(__file__).parent
RESULTS = HERE.parent.parent / "results"
TWO, SMALL = HERE / "corruptions" / "two", HERE / "attacks" / "small"
# The network that came with pcbench then; the one of that name now is another.
NETWORK = {"weights": HERE / "network" / "pdigits.safetensors", "configuration": HERE / "network" / "pdigits.toml"}
ANSWERED = ["suite", "kind", "name", "severity", "epsilon", "attacked_timestep", "image_id", "timestep"]


@pytest.fixture(scope="module", autouse=True)
def without_pictures() -> Any:
    """Leave out pages and example images of new runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        patch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
        yield


@pytest.fixture(scope="module")
def former() -> Run:
    """The finished run, every file of it compared with its hash."""
    return open_run(HERE / "run")


def measure(out: Path, *suites: Path | str, **options: Any) -> Run:
    settings: dict[str, Any] = {"timesteps": 1, "threads": 1, "checks": False, "progress": False, **NETWORK, **options}
    return pcbench.run("pdigits", [str(suite) for suite in suites], out=out, **settings)


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What the former run was of, measured now."""
    return measure(tmp_path_factory.mktemp("present") / "run", TWO, SMALL, images=12)


def planned(*suites: Path, **options: Any) -> RunSpec:
    """What a run would be, without running it."""
    settings: dict[str, Any] = {"model": "pdigits", "timesteps": 2, "checks": False, **NETWORK, **options}
    return make_plan(request_from({"suites": tuple(str(suite) for suite in suites), **settings})).spec


def test_a_former_run_is_read_whole(former: Run) -> None:
    manifest = json.loads((HERE / "run" / "manifest.json").read_text())
    assert former.key == manifest["key"]
    assert former.spec.version == 1
    assert former.spec.settings.block_size is None
    assert former.missing == []
    table = former.metrics
    clean = table[(table["suite"] == "two") & (table["kind"] == "clean") & (table["metric"] == "accuracy")]
    outcomes = former.outcomes("two")
    for timestep, value in zip(clean["timestep"], clean["value"], strict=True):
        rows = outcomes[(outcomes["kind"] == "clean") & (outcomes["timestep"] == timestep)]
        assert value == rows["correct"].mean()
        assert len(rows) == 12
    assert set(former.outcomes()["suite"]) == {"two", "small", "manifold"}
    assert len(former.representations()) > 0
    verdicts = read_verdicts(former.folder)
    assert {verdict.timestep for verdict in verdicts} == {0, 1}
    examples = read_examples(former.folder)
    assert len(examples) == 3
    name = examples[0].pictures[0].file
    shown = embedded(former.folder / "examples", [[name]], 1_000_000).sources[name]
    assert shown.startswith("data:image/png;base64,")


def test_a_damaged_former_run_is_refused(tmp_path: Path) -> None:
    shutil.copytree(HERE / "run", tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").write_text("")
    with pytest.raises(DataError, match="changed since the run"):
        open_run(tmp_path / "run")


def test_timesteps_of_a_former_run_are_compared(former: Run) -> None:
    rows = compare_timesteps(former)
    assert {row.suite for row in rows} == {"two", "small", "manifold"}
    assert all(row.images == 12 for row in rows)


def test_a_page_is_made_of_a_former_run(former: Run, tmp_path: Path) -> None:
    content = write_page([former], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "pdigits" in content
    assert "16 attacks at budgets far out of reach were spared" in content


def test_a_former_run_is_frozen_and_its_reference_read(former: Run, tmp_path: Path) -> None:
    frozen = freeze(former)
    write_reference(frozen, tmp_path / "former.npz")
    read = read_reference(tmp_path / "former.npz")
    assert read.key == former.key
    assert read.spec == former.spec
    assert [(one.suite, one.ids_sha256) for one in read.suites] == [
        (one.suite, one.ids_sha256) for one in frozen.suites
    ]
    assert check_run(former, read, tolerated=0.0, tolerated_changes=0.0).passed


def test_former_adversarial_images_are_read_and_scored(former: Run, tmp_path: Path) -> None:
    options: dict[str, Any] = {"timesteps": 1, "threads": 1, "progress": False, **NETWORK}
    made = pcbench.run("pdigits", adversarials=HERE, out=tmp_path / "scored", **options)
    scored = made.outcomes()
    assert set(scored["suite"]) == {"small-from-pdigits"}
    # Scored by the network that they were made against, at the timestep that was attacked: the former run's own rows.
    keys = ["name", "epsilon", "attacked_timestep", "image_id"]
    attacks = scored[(scored["kind"] == "attack") & (scored["timestep"] == scored["attacked_timestep"])]
    images = {name for path in HERE.glob("adversarials/*/*.safetensors") for name in load_adversarials(path).ids}
    assert set(attacks["image_id"]) == images
    old = former.outcomes("small")
    old = old[old["image_id"].isin(images) & old["name"].isin(["fgsm", "pgd"])]
    both = attacks.astype({"name": str, "image_id": str}).merge(
        old.astype({"name": str, "image_id": str}), on=[*keys, "timestep"], suffixes=("", "_old")
    )
    assert len(both) > 0
    assert (both["prediction"] == both["prediction_old"]).all()


def test_the_same_request_gives_the_answers_of_the_former_run(former: Run, present: Run) -> None:
    def answers(run: Run) -> pd.DataFrame:
        table = run.outcomes()
        table = table[table["suite"].isin(["two", "small"])].astype(dict.fromkeys(("suite", "kind", "name"), str))
        return table.astype({"image_id": str}).set_index(ANSWERED)[["prediction", "correct"]].sort_index()

    pd.testing.assert_frame_equal(answers(former), answers(present))
    suites = ["two", "small"]
    require_same_images(former.spec, present.spec, suites, ("then", "now"))
    rows = compare_runs(former, present, ("then", "now"))
    assert {row.suite for row in rows} == set(suites)
    assert all(row.difference == 0 for row in rows)


def test_former_and_present_runs_of_other_images_are_not_compared(former: Run, tmp_path: Path) -> None:
    # Also twelve images, of which none is among the former run's: its description cannot tell, the outcomes can.
    other = measure(tmp_path / "run", TWO, images=12, leave_out="100")
    assert not set(other.outcomes()["image_id"]) & set(former.outcomes()["image_id"])
    with pytest.raises(UsageError, match="suite two image ids"):
        compare_runs(former, other, ("then", "now"))
    reference = freeze(former)
    of_two = dataclasses.replace(reference, suites=tuple(one for one in reference.suites if one.suite == "two"))
    with pytest.raises(UsageError, match="suite two image ids"):
        check_run(other, of_two, tolerated=0.0)


def _of_two(reference: Reference) -> Reference:
    """A reference without its attacks, which take a minute on all images."""
    return dataclasses.replace(reference, suites=tuple(one for one in reference.suites if one.suite == "two"))


def test_a_users_former_reference_checks_a_present_run(tmp_path: Path) -> None:
    reference = read_reference(HERE / "user.npz")
    assert [suite.suite for suite in reference.suites] == ["small", "two"]
    require_same_images(reference.spec, planned(TWO, SMALL), ["two", "small"], ("then", "now"))
    run = measure(tmp_path / "run", TWO, timesteps=2)
    report = check_run(run, _of_two(reference), tolerated=0.0, tolerated_changes=0.005)
    assert report.passed
    assert report.changed == 0
    assert report.answers == 33 * 360
    assert not {"data.fingerprint", "settings.block_size"} & {one.field for one in report.differences}


def test_a_remark_in_a_suite_leaves_present_references_good_and_former_ones_not(present: Run, tmp_path: Path) -> None:
    # A former reference knows a user's suite by the bytes of its files alone: nobody can tell whether what was edited
    # since was a remark or a parameter. One that is frozen now knows what the suite means.
    edited = tmp_path / "corruptions" / "two"
    shutil.copytree(TWO, edited)
    (edited / "contrast.toml").write_text("# A remark.\n" + (TWO / "contrast.toml").read_text())
    old = read_reference(HERE / "user.npz")
    with pytest.raises(UsageError, match=r"suite two sha256: 1b1c69478a98 -> "):
        require_same_images(old.spec, planned(edited, SMALL), ["two", "small"], ("then", "now"))
    write_reference(freeze(present), tmp_path / "present.npz")
    new = read_reference(tmp_path / "present.npz")
    remarked = planned(edited, SMALL, timesteps=1, images=12, threads=1)
    assert remarked.key() == present.key
    require_same_images(new.spec, remarked, ["two", "small"], ("then", "now"))
    (edited / "contrast.toml").write_text((TWO / "contrast.toml").read_text().replace("0.25", "0.26"))
    changed = planned(edited, SMALL, timesteps=1, images=12, threads=1)
    for reference in (old, new):
        with pytest.raises(UsageError, match="suite two sha256"):
            require_same_images(reference.spec, changed, ["two", "small"], ("then", "now"))


def test_the_committed_reference_is_of_the_suites_as_they_are() -> None:
    reference = read_reference(RESULTS / "pdigits.npz")
    now = planned(Path("digits-c"), Path("digits-linf"), timesteps=8)
    found = {suite.name: suite.sha256 for suite in reference.spec.suites}
    assert found == {suite.name: suite.sha256 for suite in now.suites}
    assert reference.spec.data.fingerprint == now.data.fingerprint
    require_same_images(reference.spec, now, list(found), ("the reference", "the run"))


# Those that runs of version 1 could name; runs of later suites hold what these mean, not a hash of their files.
SHIPPED = [
    *(("corruptions", name) for name in ("cifar-10-c", "cifar-100-c", "digits-c", "gaussian-noise", "imagenet-3dcc")),
    *(("corruptions", name) for name in ("imagenet-c", "imagenet-c-bar", "imagenet-c-extra", "manifold")),
    ("corruptions", "tiny-imagenet-c"),
    *(("attacks", name) for name in ("all-timesteps", "autoattack", "blackbox", "digits-linf", "l2", "linf")),
    *(("attacks", name) for name in ("minimal-norm", "predify2021")),
]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_suite_means_what_it_meant_to_former_runs(kind: Any, name: str) -> None:
    folder = catalog_folder(kind) / name
    meaning = read_definition(kind, folder).identity()
    assert former_suites().get(folder_hash(folder)) == meaning, (
        f"{name} was edited. If only words were, add the folder's hash to pcbench/results/former_suites.json beside "
        "the one that is there. If its meaning was, results of before and after are not comparable: raise its version, "
        "and leave former_suites.json as it is except for a new entry."
    )


def test_every_shipped_suites_former_hash_leads_to_one_meaning() -> None:
    meanings = {name: read_definition(kind, catalog_folder(kind) / name).identity() for kind, name in SHIPPED}
    # The corruptions of CIFAR-100-C are those of CIFAR-10-C, on other images.
    assert meanings.pop("cifar-100-c") == meanings["cifar-10-c"]
    assert len(set(meanings.values())) == len(meanings)
    # Version 1 of digits-linf (other budgets) means something else.
    assert len(set(former_suites().values()) - set(meanings.values())) == 1


def test_the_tables_of_the_committed_study_are_read() -> None:
    # No code of pcbench reads them; a reader who opens them with pandas finds what the page beside them says.
    folder = RESULTS / "pdigits-noise"
    study = json.loads((folder / "study.json").read_text())
    assert "versions" in study
    summary, seeds, draws = (pd.read_csv(folder / f"{name}.csv") for name in ("summary", "seeds", "draws"))
    assert len(seeds) > len(summary) > 0
    assert len(draws) > len(seeds)


def test_the_files_are_those_that_were_written_before() -> None:
    # They cannot be made again: a change by mistake is noticed.
    kept = sorted(path for path in HERE.rglob("*") if path.suffix in (".parquet", ".npz", ".safetensors", ".toml"))
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in kept)).hexdigest()
    assert digest == "6f711020b69e72b832dcfbd57f792ead9209fb96c387b50c9a40a7129e24ff3d"


def test_a_former_run_that_kept_no_options_gives_its_configuration_from_its_description(
    former: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Oracle: the former description, of which only versions and what former versions did not hold may differ.
    show_command(HERE / "run", config=True)
    text = capsys.readouterr().out
    assert "has another key" in text
    options = tomllib.loads(text)
    assert options["suites"] == ["<FOLDER>/two", "<FOLDER>/small", "manifold"]
    assert (options["model"], options["data"], options["images"]) == ("pdigits", "digits", 12)
    homes = {"<FOLDER>/two": str(TWO), "<FOLDER>/small": str(SMALL)}
    options["suites"] = [homes.get(name, name) for name in options["suites"]]
    options = {name: value for name, value in options.items() if value != "<FILE>"}  # as the user puts them in
    spec = make_plan(request_from({**options, **NETWORK, "out": tmp_path})).spec
    found = {one.field for one in differences(former.spec.counting(), spec.counting())}
    assert {field for field in found if not field.startswith("versions.")} <= {
        "version",
        "model.name",
        "model.given_configuration",
        "data.fingerprint",
        "settings.block_size",
        "suite two.sha256",
        "suite small.sha256",
    }


def test_a_former_run_with_weights_of_the_users_own_has_placeholders_for_them(former: Run) -> None:
    model = {**former.spec.model, "predictors_sha256": "0" * 64, "ablation": "no-feedback"}
    spec = former.spec.model_copy(
        update={"model": model, "data": former.spec.data.model_copy(update={"name": "imagefolder"})}
    )
    options = tomllib.loads(configuration(dataclasses.replace(former, spec=spec)))
    assert options["weights"] == "<FILE>"
    assert options["backbone_weights"] == "<FILE>"  # the network of this name has another backbone now
    assert options["data"] == "imagefolder:<FOLDER>"
    assert options["ablation"] == "no-feedback"
