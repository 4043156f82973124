"""What the table of a run says of noise on e_0: its share of the pixel range, and which rows are at chance."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from pcbench.metrics.shown import level_symbol
from pcbench.percent import in_percent
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import Run


def noise_notes(run: Run, rows: pd.DataFrame) -> Iterator[str]:
    """Yield the lines under the table of a suite of corruptions.

    Args:
        run: The run.
        rows: The suite's rows of the tidy table.
    """
    noisy = rows[rows["kind"].isin(CORRUPTED) & (rows["metric"] == "accuracy") & rows["severity"].notna()]
    levels = sorted(float(level) for level in noisy["epsilon"].dropna().unique())
    deviations = [float(number) for number in re.findall(r"[\d.]+(?:e-?\d+)?", str(run.spec.model.get("std") or ""))]
    if levels and deviations and set(noisy["name"]) == {"gaussian_noise"}:
        mean = sum(deviations) / len(deviations)
        shares = ", ".join(f"{level:.3g}: {in_percent(level * mean):.3g} %" for level in levels)
        yield f"σ is on e_0; as a share of the pixel range (mean over the channels): {shares}"
    classes = run.manifest.get("classes")
    if not isinstance(classes, int) or classes < 2:
        return
    for (name, severity), part in noisy.groupby(["name", "severity"], observed=True):
        chance = part[part["ci_low"] <= 1 / classes]
        if chance.empty:
            continue
        times = sorted({int(t) for t in chance["timestep"]})
        every = len(times) == part["timestep"].nunique()
        level = part["epsilon"].dropna().unique()
        what = (
            f"{level_symbol([str(name)])} = {level[0]:.3g}"
            if len(level) == 1
            else f"{name}, severity {int(str(severity))}"
        )
        when = "every t" if every else f"t = {', '.join(map(str, times))}"
        yield f"AT CHANCE ({100 / classes:.3g} % for {classes} classes) at {when}: {what}"
