"""Oracles: bash, which reads the scripts without running them; the declared options; and the fields of a Job.

The fields are those of Kubernetes' batch/v1 and core/v1, version 1.33, as far as the manifest in the docs uses their
levels.
"""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import BELOW_PODS, METADATA, PODS, TABLE, TEXT, WHOLE, YES, Schema, blocks

from pcbench.harness.forecast import PlanOptions
from pcbench.harness.request import RunOptions
from pcbench.harness.shard_numbers import read_shard
from pcbench.options import declared

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how_to" / "cluster.md").read_text(encoding="utf-8")

SCHEMA = Schema(
    {
        "job": (
            {"apiVersion": TEXT, "kind": TEXT, "metadata": TABLE, "spec": TABLE},
            {"apiVersion", "kind", "metadata", "spec"},
        ),
        "job.metadata": METADATA,
        "job.spec": (
            {
                **dict.fromkeys(("activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex"), WHOLE),
                **dict.fromkeys(("completions", "maxFailedIndexes", "parallelism", "ttlSecondsAfterFinished"), WHOLE),
                **dict.fromkeys(("completionMode", "managedBy", "podReplacementPolicy"), TEXT),
                **dict.fromkeys(("podFailurePolicy", "selector", "successPolicy", "template"), TABLE),
                **dict.fromkeys(("manualSelector", "suspend"), YES),
            },
            {"template"},
        ),
        **PODS,
    },
    {
        ("job", "metadata"): "job.metadata",
        ("job", "spec"): "job.spec",
        ("job.spec", "template"): "template",
        **BELOW_PODS,
    },
)


def faults(job: Mapping[str, Any]) -> list[str]:
    """What is wrong with a Job."""
    return SCHEMA.faults("job", job) or job_faults(job)


def job_faults(job: Mapping[str, Any]) -> list[str]:
    """What Kubernetes refuses of a Job whose fields are right by themselves."""
    spec, wrong = job["spec"], []
    if (job["apiVersion"], job["kind"]) != ("batch/v1", "Job"):
        wrong.append("job: of another version or kind")
    if spec.get("completionMode", "NonIndexed") not in ("Indexed", "NonIndexed"):
        wrong.append("job: no such completionMode")
    if spec.get("completionMode") == "Indexed" and "completions" not in spec:
        wrong.append("job: an Indexed Job needs completions")
    policy = spec["template"]["spec"].get("restartPolicy")
    if policy not in ("Never", "OnFailure"):
        wrong.append("job: its pods are restarted Never or OnFailure")
    if "backoffLimitPerIndex" in spec and (spec.get("completionMode") != "Indexed" or policy != "Never"):
        wrong.append("job: backoffLimitPerIndex needs an Indexed Job whose pods are restarted Never")
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        wrong.append("job: maxFailedIndexes needs backoffLimitPerIndex")
    return wrong


def refuse_unknown_options(words: list[str]) -> None:
    start = words.index("pcbench")
    declaration = {"run": RunOptions, "plan": PlanOptions}.get(words[start + 1])
    flags = {"--out"} if declaration is None else {flag for one in declared(declaration).values() for flag in one.flags}
    assert {word for word in words[start + 2 :] if word.startswith("-")} <= flags, words


def test_the_script_for_slurm_is_one_that_bash_reads() -> None:
    (script,) = blocks(PAGE, "bash")
    inner = re.findall(r"<<SCRIPT\n(.*?)\nSCRIPT\n", script, re.DOTALL)
    assert len(inner) == 3
    for text in (script, *inner):
        assert text.startswith("#!/bin/bash\n")
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)  # noqa: S607
    commands = [line for text in inner for line in text.splitlines() if "pcbench" in line]
    assert [shlex.split(line.removeprefix("exec "))[1] for line in commands] == ["plan", "run", "merge"]
    for line in commands:
        refuse_unknown_options(shlex.split(line))
    assert '--array="1-$shards"' in script
    assert "auto/$shards" in script


def test_the_manifest_is_an_indexed_job() -> None:
    (text,) = blocks(PAGE, "yaml")
    job = yaml.safe_load(text)
    assert faults(job) == []
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = container["command"]
    refuse_unknown_options(command)
    of = job["spec"]["completions"]
    assert command[command.index("--shard") + 1] == f"auto/{of}"
    numbers = {read_shard(f"auto/{of}", {"JOB_COMPLETION_INDEX": str(index)}).number for index in range(of)}
    assert numbers == set(range(1, of + 1))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "completionMode"), "indexed"),
        (("spec", "completions"), "40"),
        (("spec", "paralelism"), 3),
        (("spec", "template", "spec", "restartPolicy"), "Always"),
        (("spec", "template", "spec", "volumes"), []),
        (("spec", "template", "spec", "containers", 0, "command"), ["pcbench", 1]),
        (("spec", "template", "spec", "containers", 0, "comand"), []),
        (("apiVersion",), "batch/v1beta1"),
    ],
)
def test_a_wrong_manifest_is_found(path: tuple[Any, ...], value: object) -> None:
    (text,) = blocks(PAGE, "yaml")
    job = copy.deepcopy(yaml.safe_load(text))
    inside = job
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    assert faults(job)
