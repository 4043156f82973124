"""Looks at everything: versions, devices, threads, folders, and libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from pcbench.doctor.finding import Finding
from pcbench.doctor.libraries import collisions, hidden_libraries, library_findings
from pcbench.doctor.machine import devices, folders, threads
from pcbench.errors import PcbenchError, named
from pcbench.shadows import UNLOADABLE, shadows

_TOPICS: dict[str, Callable[[], Iterable[Finding]]] = {
    "versions": library_findings,
    "devices": devices,
    "threads": threads,
    "folders": folders,
    "libraries": collisions,
}
_LOADING = ("devices", "libraries")
"""The topics for which libraries are loaded."""


def findings() -> list[Finding]:
    """Look at everything; nothing is changed but for files that are written and removed again in the folders."""
    try:
        os.getcwd()  # noqa: PTH109  # Path.cwd() asks no more
    except FileNotFoundError:  # the libraries of which torch is made end the process there
        gone = "the current folder does not exist any more"
        return [Finding("folders", "current", gone, "wrong", "cd to a folder that exists")]
    hidden = [
        *(
            Finding("libraries", name, f"{file} hides Python's own module {name}", "wrong", remedy)
            for name, file, remedy in shadows()
        ),
        *hidden_libraries(),
    ]
    # Where one library is hidden, others that need it cannot be loaded either: the cause alone is told.
    topics = [topic for topic in _TOPICS if not hidden or topic not in _LOADING]
    return [*(one for topic in topics for one in _looked_at(topic, _TOPICS[topic])), *hidden]


def _looked_at(topic: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what is found about a topic; that it cannot be looked at is a finding too, and no end."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except (*UNLOADABLE, PcbenchError) as error:
        remedy = f"make a new environment and install pcbench there; this one is {sys.prefix}"
        found.append(Finding(topic, "not looked at", named(error), "wrong", remedy))
    return found
