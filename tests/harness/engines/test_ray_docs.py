"""Oracles: bash, which reads the script without running it; the declared options; and the fields of a RayJob.

The fields are those of the definition of `rayjobs.ray.io`, version v1, that KubeRay ships (August 2026), and of
Kubernetes' pods, as far as the manifest in the docs uses their levels.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from manifests import BELOW_PODS, LIST, NUMBER, PODS, TABLE, TEXT, WHOLE, YES, Schema, blocks

from pcbench.harness.request import RunOptions
from pcbench.options import declared

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "how_to" / "ray.md").read_text(encoding="utf-8")

SCHEMA = Schema(
    {
        "job": ({"apiVersion": TEXT, "kind": TEXT, "metadata": TABLE, "spec": TABLE}, {"spec"}),
        "spec": (
            {
                **dict.fromkeys(("entrypoint", "jobId", "managedBy", "runtimeEnvYAML", "submissionMode"), TEXT),
                **dict.fromkeys(("activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"), WHOLE),
                **dict.fromkeys(("entrypointNumCpus", "entrypointNumGpus"), NUMBER),
                **dict.fromkeys(("clusterSelector", "rayClusterSpec"), TABLE),
                **dict.fromkeys(("submitterConfig", "submitterPodTemplate"), TABLE),
                **dict.fromkeys(("shutdownAfterJobFinishes", "suspend"), YES),
            },
            {"entrypoint", "rayClusterSpec"},
        ),
        "cluster": (
            {"rayVersion": TEXT, "headGroupSpec": TABLE, "workerGroupSpecs": LIST, "enableInTreeAutoscaling": YES},
            {"headGroupSpec"},
        ),
        "head": (
            {"rayStartParams": TABLE, "template": TABLE, "serviceType": TEXT, "resources": TABLE, "labels": TABLE},
            {"template"},
        ),
        "workers": (
            {
                **dict.fromkeys(("replicas", "minReplicas", "maxReplicas", "numOfHosts", "idleTimeoutSeconds"), WHOLE),
                **dict.fromkeys(("rayStartParams", "template", "labels", "resources"), TABLE),
                "groupName": TEXT,
            },
            {"groupName", "minReplicas", "maxReplicas", "template"},
        ),
        **PODS,
    },
    {
        ("job", "spec"): "spec",
        ("spec", "rayClusterSpec"): "cluster",
        ("cluster", "headGroupSpec"): "head",
        ("cluster", "workerGroupSpecs"): "workers",
        ("head", "template"): "template",
        ("workers", "template"): "template",
        **BELOW_PODS,
    },
)


def refuse_unknown_options(words: list[str]) -> None:
    start = words.index("pcbench")
    assert words[start + 1] == "run"
    flags = {flag for one in declared(RunOptions).values() for flag in one.flags}
    given = [word for word in words[start + 2 :] if word.startswith("-")]
    assert {"--engine", "--workers"} <= set(given) <= flags


def test_the_script_for_slurm_is_one_that_bash_reads() -> None:
    (script,) = blocks(PAGE, "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)  # noqa: S607
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    text = script.replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("srun"))
    words = shlex.split(re.sub(r"\$\(\(.*?\)\)", "64", line))
    assert words[words.index("--") + 1] == "pcbench"
    refuse_unknown_options(words)


def test_the_manifest_for_kuberay_has_the_fields_of_a_ray_job() -> None:
    (text,) = blocks(PAGE, "yaml")
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert SCHEMA.faults("job", job) == []
    refuse_unknown_options(shlex.split(job["spec"]["entrypoint"]))


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("entrypoint:", "entrypont:", ["spec: lacks entrypoint", "spec: does not know entrypont"]),
        ("backoffLimit: 2", 'backoffLimit: "2"', ["spec.backoffLimit: is of another type"]),
        ("        minReplicas: 4\n", "", ["workers: lacks minReplicas"]),
        (
            "{name: data, mountPath: /data}",
            "{name: date, mountPath: /data}",
            ["pod: mounts date, which is no volume of it"] * 2,
        ),
    ],
)
def test_a_fault_in_a_manifest_is_found(right: str, wrong: str, told: list[str]) -> None:
    (text,) = blocks(PAGE, "yaml")
    assert right in text
    assert SCHEMA.faults("job", yaml.safe_load(text.replace(right, wrong))) == told


def test_the_page_names_every_option_of_ray() -> None:
    for name in ("engine", "ray_address", "cpus_per_worker", "gpus_per_worker"):
        assert f"--{name.replace('_', '-')}" in PAGE
    assert "pip install 'pcbench[ray]'" in PAGE
