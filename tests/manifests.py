"""Whether a manifest in the documentation holds fields that exist, of their types: the part that its tests share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEXT, WHOLE, NUMBER, YES, TABLE, LIST = str, int, (int, float), bool, dict, list

Fields = dict[str, Any]
METADATA: tuple[Fields, set[str]] = (
    {"name": TEXT, "namespace": TEXT, "labels": TABLE, "annotations": TABLE},
    {"name"},
)
PODS: dict[str, tuple[Fields, set[str]]] = {
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
"""For each level of a pod: the type of each field, and which must be there."""
BELOW_PODS = {
    ("template", "spec"): "pod",
    ("pod", "containers"): "container",
    ("pod", "volumes"): "volume",
    ("container", "volumeMounts"): "mount",
    ("container", "resources"): "resources",
    ("volume", "persistentVolumeClaim"): "claim",
}


def blocks(page: str, language: str) -> list[str]:
    """The pieces of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@dataclass(frozen=True)
class Schema:
    """The fields of a manifest, level by level."""

    levels: Mapping[str, tuple[Fields, set[str]]]
    """For each level: the type of each field, and which must be there."""
    below: Mapping[tuple[str, str], str]
    """The level that a field of a level holds."""

    def faults(self, level: str, found: Any) -> list[str]:
        """What is wrong with a part of a manifest, and with the parts inside it."""
        if not isinstance(found, Mapping):
            return [f"{level}: is not a table"]
        fields, needed = self.levels[level]
        wrong = [f"{level}: lacks {name}" for name in sorted(needed - set(found))]
        for name, value in found.items():
            if name not in fields:
                wrong.append(f"{level}: does not know {name}")
            elif not isinstance(value, fields[name]) or isinstance(value, bool) is not (fields[name] is bool):
                wrong.append(f"{level}.{name}: is of another type")
            elif (level, name) in self.below:
                for item in value if isinstance(value, list) else [value]:
                    wrong += self.faults(self.below[level, name], item)
        return wrong + _faults_of(level, found)


def _faults_of(level: str, found: Mapping[str, Any]) -> list[str]:
    if level == "container":
        texts = [*found.get("command", []), *found.get("args", [])]
        return [f"container: {text!r} is not a text" for text in texts if not isinstance(text, str)]
    if level == "pod":
        volumes = {volume["name"] for volume in found.get("volumes", [])}
        mounted = {mount["name"] for one in found["containers"] for mount in one.get("volumeMounts", [])}
        return [f"pod: mounts {name}, which is no volume of it" for name in sorted(mounted - volumes)]
    return []
