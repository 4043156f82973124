"""From parts to a run's tables: joined by condition, pooled over images, and made into numbers. No model is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic_core import to_json

from pcbench import files
from pcbench.attacks.checks.cheap import SWEEP
from pcbench.attacks.checks.verdict import checks_table, judge
from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.attacks.worst_case import worst_case
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.harness.suites import SuiteDefinition
from pcbench.limits.text import parse_json
from pcbench.metrics.corruption_rows import StatedCorruptions
from pcbench.metrics.marks import Marking
from pcbench.metrics.summary import summarise_folder, summarise_representations
from pcbench.metrics.transfer import transfer_rows
from pcbench.reports.page.examples import Example, Examples, Picture
from pcbench.results.conditions import RETRIED, Condition, slug
from pcbench.results.directory import incomplete_suites, write_json
from pcbench.results.divisor import Divisor
from pcbench.results.metrics_table import metrics_table, write_metrics
from pcbench.results.run_spec import RunSpec
from pcbench.results.schema import OUTCOMES, read_outcomes, read_table, write_outcomes, write_table

Definitions = Mapping[str, SuiteDefinition]
CHECKS = "checks.json"


def write_worst_cases(folder: Path, attacks: Iterable[Condition], incomplete: Collection[str] = ()) -> None:
    """Join the attacks of each suite into their worst case, from the outcomes that lie in a folder.

    Args:
        folder: The run's folder.
        attacks: The conditions of all attacks that were run.
        incomplete: Suites some of whose work is missing: images that an attack lacks are left out.
    """
    groups: dict[tuple[str, int | None], list[Condition]] = {}
    for condition in attacks:
        saved = condition.attacked_timestep is None
        groups.setdefault((condition.suite, None if saved else condition.attacked_timestep), []).append(condition)
    for group in groups.values():
        if len({condition.name for condition in group}) > 1:
            paths = [folder / "outcomes" / f"{condition.path}.parquet" for condition in group]
            joint = dataclasses.replace(group[0], name=WORST_CASE)
            table = worst_case_table(paths, common=joint.suite in incomplete)
            write_outcomes(table, folder / "outcomes" / f"{joint.path}.parquet")


def split_retried(table: pa.Table) -> tuple[pa.Table, pa.Table | None]:
    """Part the outcomes of an attack from those of its second attempt at images whose gradient it could not follow.

    Args:
        table: Outcomes of one attack, of all blocks, with those of `pcbench.attacks.retry` among them.

    Returns:
        The attack's own rows; and those of the second attempt, completed by the attack's own rows of the images that
        it was not made at, so that both are over the same images. None where there was no second attempt.
    """
    rows = table.to_pandas()
    again = rows["name"].astype(str).str.endswith(RETRIED)
    if not again.any():
        return table, None
    own, second = rows[~again], rows[again]
    others = own[~own["image_id"].isin(second["image_id"].unique())].assign(name=str(second["name"].iloc[0]))
    completed = pd.concat([second, others], ignore_index=True)
    order = {name: number for number, name in enumerate(own["image_id"].astype(str).drop_duplicates())}
    completed["_order"] = completed["image_id"].astype(str).map(order)
    completed = completed.sort_values(["timestep", "epsilon", "_order"], kind="stable").drop(columns="_order")
    return _as_outcomes(own), _as_outcomes(completed)


def _as_outcomes(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows, preserve_index=False).select(OUTCOMES.names).cast(OUTCOMES)


def worst_case_table(paths: Iterable[Path], *, common: bool = False) -> pa.Table:
    """Return the union of the attacks whose outcomes lie in these files; see `pcbench.attacks.worst_case`.

    Args:
        paths: The files.
        common: Leave out images that an attack lacks.
    """
    tables = [read_outcomes(path) for path in paths]
    outcomes: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    if common:
        held: list[set[str]] = [{str(name) for name in table.column("image_id").to_pylist()} for table in tables]
        outcomes = outcomes[outcomes["image_id"].isin(sorted(set[str].intersection(*held)))]
    return _as_outcomes(worst_case(outcomes))


def write_numbers(
    folder: Path,
    spec: RunSpec,
    definitions: Definitions,
    divisors: Mapping[str, Divisor],
    missing: Sequence[Mapping[str, Any]] = (),
    marking: Marking | None = None,
) -> pd.DataFrame:
    """Write verdicts and metrics of a run from its outcomes, representations and evidence; return the metrics.

    Args:
        folder: The run's folder.
        spec: What was run.
        definitions: Its suites.
        divisors: What divides the corruption errors of each.
        missing: What could not be computed, as the manifest lists it.
        marking: What the marks of numbers depend on; None leaves them empty.
    """
    model = str(spec.model["name"])
    unjudged = {entry["suite"] for entry in missing if entry["work"] == "evidence"}
    checks = [
        entry
        for name, suite in definitions.items()
        if name not in unjudged
        for entry in _suite_checks(folder, name, suite)
    ]
    if (folder / "checks").is_dir():
        # A number that is NaN becomes null, as JSON has it.
        content = to_json(checks, indent=1, inf_nan_mode="null", fallback=float) + b"\n"
        files.write(folder / CHECKS, content)
    baselines = {name: found.baseline for name, found in divisors.items() if found.baseline is not None}
    subsets = [name for name, found in divisors.items() if found.subset]
    incomplete = incomplete_suites(missing)
    table = summarise_folder(
        folder / "outcomes",
        model=model,
        baselines=baselines,
        corruptions=_corruptions(definitions, spec.settings.severities),
        subsets=subsets,
        incomplete=incomplete,
    )
    measured = folder / "representations"
    if measured.is_dir():
        table = pd.concat([table, summarise_representations(measured, model=model)], ignore_index=True)
    if checks:
        transfer = metrics_table([{"model": model, **row} for row in transfer_rows(checks)])
        table = pd.concat([table, transfer], ignore_index=True)
    table = table if marking is None else marking.marked(table)
    write_metrics(table, folder)
    return table


def _corruptions(definitions: Definitions, chosen: Sequence[int] | None) -> dict[str, StatedCorruptions]:
    """Return what is stated of the corruptions of each suite that has some, by its name."""
    return {
        name: StatedCorruptions(
            severities={corruption.name: len(corruption.severities) for corruption in suite.corruptions},
            families={corruption.name: corruption.family for corruption in suite.corruptions},
            chosen=chosen,
        )
        for name, suite in definitions.items()
        if isinstance(suite, CorruptionSuite)
    }


def _suite_checks(folder: Path, name: str, suite: SuiteDefinition) -> Iterator[dict[str, Any]]:
    """Yield the verdict on every timestep of a suite at which an image is right."""
    path = folder / "checks" / f"{slug(name)}.parquet"
    if not isinstance(suite, AttackSuite) or not path.is_file():
        return
    rows: pd.DataFrame = read_table(path, "evidence").to_pandas()
    rows["epsilon"] = rows["epsilon"].astype(float)
    attacked = rows[rows["check"].isin(["transfer", SWEEP])]
    timesteps = sorted(int(t) for t in attacked[attacked["metric"] == "success"]["attacked_timestep"].unique())
    if not timesteps:
        return
    # Timesteps at which no image is right are left out: no image can be attacked there.
    known = rows[rows["attacked_timestep"].isin(timesteps) & rows["timestep"].isin(timesteps)]
    epsilon = float(attacked["epsilon"].iloc[0])
    # No image has evidence of this kind where the model gives no gradient.
    widest = float(rows[rows["check"] == "widest"]["epsilon"].max())
    verdicts = judge(known, suite.attacks, epsilon=epsilon, timesteps=timesteps, widest=widest)
    for entry in checks_table(verdicts):
        yield {"suite": name, "images": int(attacked["image_id"].nunique()), **entry}


def write_evidence(folder: Path, suite: str, table: pa.Table) -> None:
    """Write what the verdicts on a suite's gradients are made of."""
    write_table(table, folder / "checks" / f"{slug(suite)}.parquet", "evidence")


def write_pictures(folder: Path, table: pa.Table) -> None:
    """Write example images as PNG files, with an index that says what they are."""
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        by_image.setdefault(str(row["image_id"]), []).append(row)
    examples: list[Example] = []
    for number, (image_id, rows) in enumerate(by_image.items()):
        pictures: list[Picture] = []
        for row in sorted(rows, key=lambda row: row["number"]):
            name = f"{number}-{row['number']:02d}-{row['kind']}.png"
            files.write(folder / "examples" / name, row["png"])
            fields = {key: row[key] for key in ("kind", "title", "timestep")}
            answers: dict[str, Any] = parse_json(row["predictions"], name)
            fields["predictions"] = {timestep: seen for timestep, (seen, _) in answers.items()}
            fields["probabilities"] = {timestep: one for timestep, (_, one) in answers.items() if one is not None}
            pictures.append(Picture(file=name, **fields))
        examples.append(Example(image_id=image_id, label=rows[0]["label"], pictures=tuple(pictures)))
    index = Examples(examples_version=1, examples=tuple(examples)).model_dump(mode="json")
    write_json(folder / "examples" / "index.json", index)
