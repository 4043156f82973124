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

from pcbench.harness.forecast import PlanOptions
from pcbench.harness.request import RunOptions
from pcbench.harness.shard_numbers import read_shard
from pcbench.options import declared

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")

TEXT, WHOLE, YES, TABLE, LIST = str, int, bool, dict, list
# For each level: the type of each field, and which must be there.
LEVELS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "job": (
        {"apiVersion": TEXT, "kind": TEXT, "metadata": TABLE, "spec": TABLE},
        {"apiVersion", "kind", "metadata", "spec"},
    ),
    "job.metadata": ({"name": TEXT, "namespace": TEXT, "labels": TABLE, "annotations": TABLE}, {"name"}),
    "job.spec": (
        {
            **dict.fromkeys(("activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex", "completions"), WHOLE),
            **dict.fromkeys(("maxFailedIndexes", "parallelism", "ttlSecondsAfterFinished"), WHOLE),
            **dict.fromkeys(("completionMode", "managedBy", "podReplacementPolicy"), TEXT),
            **dict.fromkeys(("podFailurePolicy", "selector", "successPolicy", "template"), TABLE),
            **dict.fromkeys(("manualSelector", "suspend"), YES),
        },
        {"template"},
    ),
    "template": ({"metadata": TABLE, "spec": TABLE}, {"spec"}),
    "pod": (
        {
            "containers": LIST,
            "initContainers": LIST,
            "volumes": LIST,
            "nodeSelector": TABLE,
            "restartPolicy": TEXT,
            "terminationGracePeriodSeconds": WHOLE,
        },
        {"containers"},
    ),
    "container": (
        {
            **dict.fromkeys(("name", "image", "imagePullPolicy", "workingDir"), TEXT),
            **dict.fromkeys(("args", "command", "env", "ports", "volumeMounts"), LIST),
            "resources": TABLE,
        },
        {"name", "image"},
    ),
    "mount": ({"name": TEXT, "mountPath": TEXT, "readOnly": YES, "subPath": TEXT}, {"name", "mountPath"}),
    "volume": ({"name": TEXT, "persistentVolumeClaim": TABLE, "hostPath": TABLE, "nfs": TABLE}, {"name"}),
    "claim": ({"claimName": TEXT, "readOnly": YES}, {"claimName"}),
    "resources": ({"requests": TABLE, "limits": TABLE, "claims": LIST}, set()),
}
BELOW = {
    ("job", "metadata"): "job.metadata",
    ("job", "spec"): "job.spec",
    ("job.spec", "template"): "template",
    ("template", "spec"): "pod",
    ("pod", "containers"): "container",
    ("pod", "volumes"): "volume",
    ("container", "volumeMounts"): "mount",
    ("container", "resources"): "resources",
    ("volume", "persistentVolumeClaim"): "claim",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def faults(level: str, found: Any) -> list[str]:
    """What is wrong with a part of a manifest, and with the parts inside it."""
    if not isinstance(found, Mapping):
        return [f"{level}: is not a table"]
    fields, needed = LEVELS[level]
    wrong = [f"{level}: lacks {name}" for name in sorted(needed - set(found))]
    for name, value in found.items():
        if name not in fields:
            wrong.append(f"{level}: does not know {name}")
        elif not isinstance(value, fields[name]) or isinstance(value, bool) is not (fields[name] is bool):
            wrong.append(f"{level}.{name}: is of another type")
        elif (level, name) in BELOW:
            for item in value if isinstance(value, list) else [value]:
                wrong += faults(BELOW[level, name], item)
    if level == "container":
        texts = [*found.get("command", []), *found.get("args", [])]
        wrong += [f"container: {text!r} is not a text" for text in texts if not isinstance(text, str)]
    if level == "pod":
        volumes = {volume["name"] for volume in found.get("volumes", [])}
        mounted = {mount["name"] for one in found["containers"] for mount in one.get("volumeMounts", [])}
        wrong += [f"pod: mounts {name}, which is no volume of it" for name in sorted(mounted - volumes)]
    return wrong + (job_faults(found) if level == "job" and not wrong else [])


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
    (script,) = blocks("bash")
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


def test_the_commands_of_the_page_are_those_of_the_program() -> None:
    lines = [line.partition("#")[0] for line in PAGE.splitlines() if line.startswith("    pcbench ")]
    assert len(lines) == 4
    for line in lines:
        refuse_unknown_options(shlex.split(line))


def test_the_manifest_is_an_indexed_job() -> None:
    (text,) = blocks("yaml")
    job = yaml.safe_load(text)
    assert faults("job", job) == []
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
    (text,) = blocks("yaml")
    job = copy.deepcopy(yaml.safe_load(text))
    inside = job
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    assert faults("job", job)
