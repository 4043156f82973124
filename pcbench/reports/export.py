"""Export a run's results for other tools: plain tables, JSON like RobustBench's, a Hugging Face model card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from pcbench.comparison.answer import answers
from pcbench.comparison.verdicts import verdicts_of
from pcbench.errors import UnknownNameError, UsageError
from pcbench.escaping import FORMULA, markdown, printable
from pcbench.files import try_folder, write
from pcbench.metrics.shown import own_timestep
from pcbench.norms import epsilon_text
from pcbench.reports.charts import texts
from pcbench.reports.matrices import matrices
from pcbench.reports.page.headline import headline
from pcbench.reports.paper_tables import as_markdown, write_paper_tables
from pcbench.reports.robustbench import PublishedPaper, read_publication, robustbench_entries
from pcbench.results.directory import Run, alone, changed_notes
from pcbench.results.metrics_table import csv_frame, write_metrics_parquet
from pcbench.results.schema import OUTCOMES, read_outcomes
from pcbench.results.verdicts import NOT_CHECKED, read_verdicts

ExportFormat = Literal["csv", "parquet", "json", "robustbench-like", "huggingface-card", "latex", "markdown"]
MARKS = "CHANGED.txt"
"""The file that says what was changed in a run that was exported nevertheless."""
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)


def export_run(run: Run, format_name: str, out: Path | None = None, *, publication: Path | None = None) -> list[Path]:
    """Write a run's results in another format.

    Args:
        run: A finished run.
        format_name: ``"csv"`` and ``"parquet"``: `metrics` and `outcomes`, one file each. ``"json"``: the same with
            one JSON object per line, `.jsonl`. ``"robustbench-like"``: `robustbench.json`, one entry for each timestep
            and threat model. ``"huggingface-card"``: `README.md`, a model card with the results as metadata.
            ``"latex"`` and ``"markdown"``: a file for each table with a column for each timestep.
        out: The folder to write to; it is made if it does not exist. None means `RUN-<format>`, beside the run's.
        publication: A TOML file with a table `[publication]`, for ``"robustbench-like"`` alone: what no run knows.

    Returns:
        The files.

    Raises:
        UnknownNameError: The format does not exist.
        UsageError: The folder cannot be written, or the format has no use for a publication.
        DefinitionError: The publication is missing or wrong.
        DataError: The run is damaged.
        WriteError: A file could not be written.
    """
    if format_name not in EXPORT_FORMATS:
        raise UnknownNameError("format", format_name, EXPORT_FORMATS)
    run = alone(run)
    if out is None:
        beside = run.folder if run.folder.name else run.folder.absolute()
        out = beside.with_name(f"{beside.name}-{format_name}")
    try_folder(out, "give another with `out`")
    if publication is not None and format_name != "robustbench-like":
        raise UsageError(f"`publication` is for the format robustbench-like, not {format_name}")
    made = _written(run, format_name, out, None if publication is None else read_publication(publication))
    marks = changed_notes(run)
    return [*made, write(out / MARKS, "".join(f"{printable(mark)}\n" for mark in marks))] if marks else made


def _written(run: Run, format_name: str, out: Path, publication: PublishedPaper | None) -> list[Path]:
    if format_name == "robustbench-like":
        entries = list(robustbench_entries(run, publication or PublishedPaper()))
        return [write(out / "robustbench.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")]
    if format_name == "huggingface-card":
        return [write(out / "README.md", model_card(run))]
    if format_name in {"latex", "markdown"}:
        return write_paper_tables(run, out, "latex" if format_name == "latex" else "markdown")
    ending, metrics, outcomes = _TABLES[format_name]
    tables = (read_outcomes(path) for path in run.outcome_files())
    return [
        write(out / f"metrics.{ending}", lambda path: metrics(run.metrics, path)),
        write(out / f"outcomes.{ending}", lambda path: outcomes(tables, path)),
    ]


def _metrics_csv(metrics: pd.DataFrame, path: Path) -> None:
    csv_frame(metrics).to_csv(path, index=False)


def _metrics_json(metrics: pd.DataFrame, path: Path) -> None:
    metrics.to_json(path, orient="records", lines=True, double_precision=15)


def _outcomes_csv(tables: Iterator[pa.Table], path: Path) -> None:
    plain = _plain_schema()
    with path.open("wb") as stream, pacsv.CSVWriter(stream, plain) as writer:
        for table in tables:
            writer.write_table(_csv_table(table.cast(plain)))


def _csv_table(table: pa.Table) -> pa.Table:
    """Return a table with its texts as they stand in CSV; see `pcbench.escaping.csv_cell`."""
    fields: list[Any] = list(table.schema)
    for index, field in enumerate(fields):
        if pa.types.is_string(field.type):
            cells = pc.replace_substring_regex(table.column(index), pattern=FORMULA, replacement=r"'\1")
            table = table.set_column(index, field, cells)
    return table


def _outcomes_parquet(tables: Iterator[pa.Table], path: Path) -> None:
    with pq.ParquetWriter(path, OUTCOMES, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def _outcomes_json(tables: Iterator[pa.Table], path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for table in tables:
            frame: pd.DataFrame = table.cast(_plain_schema()).to_pandas()
            frame.to_json(stream, orient="records", lines=True, double_precision=15)


def _plain_schema() -> pa.Schema:
    """Return the outcomes' schema with words as words, which text formats need."""
    fields: list[Any] = list(OUTCOMES)
    return pa.schema(
        [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in fields]
    )


_TABLES: dict[str, tuple[str, Callable[[pd.DataFrame, Path], None], Callable[[Iterator[pa.Table], Path], None]]] = {
    "csv": ("csv", _metrics_csv, _outcomes_csv),
    "parquet": ("parquet", write_metrics_parquet, _outcomes_parquet),
    "json": ("jsonl", _metrics_json, _outcomes_json),
}
"""How the plain formats end and are written: first metrics, then outcomes table by table."""


def model_card(run: Run) -> str:
    """Return a model card in the Hugging Face hub's form: results as metadata, then words and tables."""
    from huggingface_hub import EvalResult, ModelCardData  # slow to import

    metrics, verdicts = run.metrics, verdicts_of(run)
    name = printable(str(run.spec.model["name"]))
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=printable(run.spec.data.name),
            dataset_name=printable(f"{row['suite']} ({run.spec.data.name}, {run.spec.data.split})"),
            metric_type=printable(row["metric"]),
            metric_name=printable(_metric_name(row)),
            metric_value=round(float(row["value"]), 6),
        )
        for _, row in _headline_rows(metrics).iterrows()
    ]
    data = ModelCardData(model_name=name, eval_results=results, library_name="pcbench")
    last = int(metrics["timestep"].max())
    told = [*(answer.text for answer in answers(run)), *(text for t, text in headline(run) if t == last)]
    said = "\n".join(f"- {markdown(text)}" for text in told)
    tables = "\n".join(
        as_markdown(matrix)
        for suite in texts(metrics["suite"])
        for matrix in matrices(metrics[metrics["suite"] == suite], name, verdicts)
    )
    how = f"Measured by pcbench, run {run.key}; every timestep is its own classifier, on the same images."
    said += _on_gradients(run)
    return f"---\n{data.to_yaml()}\n---\n\n# Robustness of {markdown(name)}\n\n{how}\n\n{said}\n\n{tables}"


def _on_gradients(run: Run) -> str:
    """Return a card's sentence about the attacks' gradients; empty without attacks."""
    if not (run.metrics["kind"] == "attack").any():
        return ""
    verdicts = read_verdicts(run.folder)
    if not verdicts:
        return f"\n- The gradients of the attacks were {NOT_CHECKED} (the option `checks` of a run does that)."
    bad = [str(verdict.timestep) for verdict in verdicts if verdict.verdict == "suspicious"]
    found = f"suspicious at t = {', '.join(bad)}" if bad else "consistent at every timestep"
    return f"\n- The gradients of the attacks are {found}."


def _headline_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a card's metadata holds: clean accuracy, the means over corruptions, robust accuracy."""
    clean = (metrics["kind"] == "clean") & (metrics["metric"] == "accuracy")
    summaries = (metrics["kind"] == "summary") & metrics["severity"].isna()
    means = summaries & metrics["metric"].isin(["accuracy", "mean_corruption_error"])
    robust = (metrics["metric"] == "robust_accuracy") & (metrics["epsilon"] > 0)
    return own_timestep(metrics[clean | means | robust])


def _metric_name(row: pd.Series) -> str:
    budget = "" if pd.isna(row["epsilon"]) else f", {row['name']}, ε = {epsilon_text(row['epsilon'], row['norm'])}"
    baseline = "" if pd.isna(row["baseline"]) else f", of {row['baseline']}"
    what = {"clean": "clean ", "summary": "mean over corruptions: "}.get(row["kind"], "")
    return f"{what}{row['metric']} at t = {row['timestep']}{budget}{baseline}"
