"""Installed packages that register plug-ins, as pip leaves them on a disk: made by tests, seen by one test each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install_plugins(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    entries: Mapping[str, Mapping[str, str]],
    *,
    sources: Mapping[str, str] | None = None,
    package: str = "mypackage",
    version: str = "1.5",
) -> Path:
    """Put a package where Python finds it.

    Args:
        folder: Where; one folder is one site-packages.
        monkeypatch: Takes it away after the test.
        entries: For each group, such as ``"models"``, the object of each name.
        sources: The source of each module.
        package: What the package is called.
        version: Its version.
    """
    site = folder / "site-packages"
    about = site / f"{package}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (about / "RECORD").write_text("".join(f"{name}.py,,\n" for name in sources or {}))
    lines = [
        line
        for group, named in entries.items()
        for line in (f"[pcbench.{group}]", *(f"{name} = {target}" for name, target in named.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join([*lines, ""]))
    for name, source in (sources or {}).items():
        (site / f"{name}.py").write_text(source)
    if str(site) not in sys.path:
        monkeypatch.syspath_prepend(site)
    return site
