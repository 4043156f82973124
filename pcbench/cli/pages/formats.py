"""The page docs/reference/formats.md: what pcbench writes and reads, with the versions."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa

from pcbench.cli.pages.markdown import MADE, definition_section, table
from pcbench.comparison.reference import READ_REFERENCES, REFERENCE_VERSION
from pcbench.harness.saved_plan import PLAN_VERSION
from pcbench.harness.saved_units import UNITS_VERSION
from pcbench.reports.page.examples import Examples
from pcbench.reports.robustbench import PublishedPaper
from pcbench.results.adversarials import FORMAT
from pcbench.results.directory import MANIFEST_VERSION, READ_MANIFESTS
from pcbench.results.metrics_table import METRICS_VERSION
from pcbench.results.parts import PART_FORMAT
from pcbench.results.run_spec import SPEC_VERSION
from pcbench.results.schema import TABLES
from pcbench.studies.decisions import DecisionsVersion
from pcbench.studies.record import StudyRecord
from pcbench.studies.study_file import StudyTable

_HEAD = f"""# File formats and their versions

{MADE}

Every file that a later pcbench must understand states its version. A version that is not read is refused in one line,
with the remedy, and never guessed at. `tests/former/` holds results of former versions, which the tests read. Nothing
that pcbench writes is pickled.

"""
_READ_ON = """A run is a folder, and `manifest.json` lists a hash of every file in it. What is in a run's folder:
[README](../../README.md#what-comes-out); its columns: [tables.md](tables.md); of an extraction:
[extraction.md](../how_to/extraction.md). Limits on the size of what is read: [data.md](data.md).
"""


def _words(versions: object) -> str:
    found = [str(one) for one in get_args(versions)] if get_args(versions) else [str(versions)]
    return ", ".join(found)


_RESULTS: list[tuple[str, ...]] = [
    (
        "`manifest.json`, `shard.json`, `extraction.json`",
        "what a finished run, shard or extraction is, with a hash of every file",
        "JSON",
        str(MANIFEST_VERSION),
        "`manifest_version`",
        f"versions {' and '.join(map(str, READ_MANIFESTS))}",
    ),
    (
        "`spec` in these, and `spec.json`",
        "the description of a run, from which its key is made",
        "JSON",
        str(SPEC_VERSION),
        "`version`",
        f"versions 1 and {SPEC_VERSION}; the key of a run stays what it was",
    ),
    (
        "`metrics.parquet`, and the same as `metrics.csv`",
        "one number a row, with its interval",
        "Parquet, CSV",
        str(METRICS_VERSION),
        "`pcbench_metrics_version` in the Parquet metadata",
        f"versions 1 to {METRICS_VERSION}; columns that a former one lacks are empty",
    ),
    (
        "`adversarials/*.safetensors`",
        "the adversarial images of `--save-adversarials`, without loss",
        "safetensors",
        FORMAT.rpartition(", ")[2],
        "`format`, in the key `pcbench` of the metadata",
        f"versions 1 and {FORMAT.rpartition(', ')[2]}",
    ),
    (
        "`examples/index.json`",
        "the pictures of a run",
        "JSON, PNG",
        _words(Examples.model_fields["examples_version"].annotation),
        "`examples_version`",
        "this version",
    ),
    (
        "`*.part`",
        "what a unit of an unfinished run left",
        "checksum, JSON, Parquet",
        PART_FORMAT.rpartition(" ")[2],
        "the first line",
        "this version; another one is computed again",
    ),
    (
        "the file of `pcbench freeze`",
        "a reference: one bit for each answer, and the run's description",
        "NumPy `.npz`",
        str(REFERENCE_VERSION),
        "`pcbench_reference` in the entry `header`",
        f"versions {' and '.join(map(str, READ_REFERENCES))}",
    ),
]
_OTHERS: list[tuple[str, ...]] = [
    (
        "`plan.json`",
        "a plan that `pcbench plan --save-spec` saved",
        "JSON",
        str(PLAN_VERSION),
        "`plan_version`",
        "this version; save the plan again",
    ),
    (
        "`units.parquet` in it",
        "its units of work",
        "Parquet",
        str(UNITS_VERSION),
        "`pcbench_units_version` in the Parquet metadata",
        "this version; save the plan again",
    ),
    (
        "the file of a study",
        "what is asked, with which arms ([study_files.md](study_files.md))",
        "TOML",
        _words(StudyTable.model_fields["study_version"].annotation),
        "`study_version`",
        "this version",
    ),
    (
        "`study.json`",
        "what a study's folder remembers of each step",
        "JSON",
        str(StudyRecord.model_fields["record_version"].default),
        "`record_version`",
        "this version; a study without it finds finished runs again",
    ),
    (
        "`decisions.npz`",
        "a published study's answers at t = 0 and at T",
        "NumPy `.npz`",
        _words(DecisionsVersion),
        "`study_decisions` in the entry `header`",
        "this version",
    ),
    (
        "`suite.toml`",
        "a suite ([suite_files.md](suite_files.md))",
        "TOML",
        "each suite's own",
        "`version`",
        "every version; results of two versions are not compared",
    ),
]
_UNVERSIONED = [
    (
        "predictors (`*.safetensors`)",
        "tensors `predictors.N.…`, and `backbone.…` where the file has it; the metadata say how they were made",
        "`--weights`, in [every layout that is in use](../explanation/network.md#weights-of-predictors)",
    ),
    ("`arrays/*.npy`, `arrays.h5`", "what `pcbench extract` wrote: (images, timesteps, …)", "NumPy, HDF5"),
    ("`image_ids.json`", "the ids of these images, in the order of the arrays' first axis", "`pcbench.open_run`"),
    ("`checks.json`", "the verdicts on the attacks of a run", "every verb that tells one"),
    (
        "`baseline.toml`",
        "the errors that CE and mCE divide by ([suite_files.md](suite_files.md#baselinetoml))",
        "`--baseline`",
    ),
    ("`locations.toml`", "where a run's files were; it is not published", "people"),
    ("`progress.json`, `failure.json`", "how far an unfinished run is, and why it ended", "`pcbench status`"),
    ("run configurations (`*.toml`)", "options, one a line ([options.md](options.md))", "`--config`"),
    ("configurations of networks", "where PCoders sit ([network_files.md](network_files.md))", "`pcbench predify`"),
]


def formats_page() -> str:
    """Return the page as Markdown."""
    heads = ("file", "what it is", "version, and where it stands", "what is read")
    return (
        _HEAD
        + _READ_ON
        + "\n"
        + "\n".join(
            [
                "## Results\n",
                table(heads, map(_row, _RESULTS)),
                "## Tables of a run\n",
                table(
                    ("table", "version", "where the version stands", "what is read"), map(_table_row, TABLES.items())
                ),
                "## Plans, studies and what is made of runs\n",
                table(heads, map(_row, _OTHERS)),
                "## Without a version\n",
                "Their form follows a library's, or they are for people and the next command only.\n",
                table(("file", "what it is", "what reads it"), _UNVERSIONED),
                definition_section(PublishedPaper, {PublishedPaper: "`[publication]`, for `pcbench export`"}),
            ]
        )
    )


def _row(one: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row of four columns, which a page is wide enough for."""
    file, what, form, version, where, read = one
    return file, f"{what} ({form})", f"{version}: {where}", read


def _table_row(one: tuple[str, pa.Schema]) -> tuple[str, str, str, str]:
    what, schema = one
    key = f"pcbench_{what}_version"
    version = int((schema.metadata or {})[key.encode()])
    # The first version of the outcomes was never published.
    read = f"versions 2 to {version}" if what == "outcomes" else "this version"
    return f"`{what}`", str(version), f"`{key}` in the Parquet metadata", read
