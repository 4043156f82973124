"""The figures of a study's page, from its tables: the change of every arm since t = 0, and the curve of input blurs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pcbench.percent import in_percent
from pcbench.reports.charts import BANDS, Chart, Line, Panel
from pcbench.reports.page.drawn import figure_values

_BEGINNING = "t = 0"


def change_chart(
    rows: pd.DataFrame,
    arms: Sequence[str],
    said: dict[str, str],
    *,
    in_points: bool,
    together: bool,
    verdict: str | None = None,
) -> Chart:
    """Return how arms change since t = 0 for one question.

    Args:
        rows: Of the table `changes`: those of one question.
        arms: All arms of the study in their order, the network first.
        said: `name` of the question, its `suite`, `where` it is asked, which timesteps are `attacked` (empty where none
            is), which of its conditions are `pooled` (empty for all), what its `measure` is called, and the `model`
            where no page names it.
        in_points: Whether changes are of shares, and so in percentage points.
        together: Whether all arms are in one plot; else each plot has the first beside two others.
        verdict: On the gradients of attacks, where the measure is about these.

    """
    times = sorted(int(t) for t in rows["timestep"].unique())
    found = {str(arm): part for arm, part in rows.groupby("arm", sort=False)}
    lines = {
        arm: _change_line(arm, found[arm], times, 100.0 if in_points else 1.0)
        for arm in arms
        if arm in found and not _is_beginning(found[arm])
    }
    network, *others = lines.values()
    step = max(1, len(others)) if together else BANDS - 1
    groups = [others[first : first + step] for first in range(0, len(others), step)] or [[]]
    panels = tuple(
        Panel(
            "" if together else f"{network.label} beside {' and '.join(one.label for one in group)}", (network, *group)
        )
        for group in groups
    )
    measured = _measured(rows[rows["arm"].isin(lines)])
    return Chart(
        name=f"change-{said['name']}",
        suite=said["suite"],
        model=said["model"],
        what=f"Change against the network's t = 0: {said['measure']}",
        where=said["where"],
        caption=" ".join(part for part in (_change_caption(rows, measured), said["attacked"], said["pooled"]) if part),
        verdict=verdict,
        x_label="timestep t",
        y="change",
        y_scale="points" if in_points else "number",
        x="timestep",
        norm=None,
        legend_title="arm",
        colours="arm",
        panels=panels,
        reference=(0.0, _BEGINNING),
        note=f"{measured} {_band_note(panels[0])} {said['attacked']}".rstrip() if together else "",
    )


def _is_beginning(rows: pd.DataFrame) -> bool:
    """Return whether an arm is the network's own t = 0, which the line at 0 stands for."""
    return len(rows) == 1 and not rows[["change", "ci_low", "ci_high"]].to_numpy().any()


def _change_line(arm: str, rows: pd.DataFrame, drawn: Sequence[int], scale: float) -> Line:
    """Return the line of an arm; one without time has one answer, which stands beside every t that is drawn."""
    ordered = rows.sort_values("timestep")
    own = [float(t) for t in ordered["timestep"]]
    if len(ordered) == 1:
        ordered, own = pd.concat([ordered] * len(drawn)), [float(t) for t in drawn]
    scaled = {name: tuple(float(value) * scale for value in ordered[name]) for name in ("change", "ci_low", "ci_high")}
    images = tuple(int(n) for n in ordered["images"])
    return Line(arm, tuple(own), scaled["change"], scaled["ci_low"], scaled["ci_high"], images)


def _measured(rows: pd.DataFrame) -> str:
    """Return with how many images and training seeds arms were measured, as a sentence."""
    fewest, most = int(rows["images"].min()), int(rows["images"].max())
    counts = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    seeds = {str(arm): int(part["training_seeds"].max()) for arm, part in rows.groupby("arm", sort=False)}
    return f"{counts} image{'s' * (most != 1)}; {_seed_words(seeds)}."


def _seed_words(seeds: Mapping[str, int]) -> str:
    """Return how many training seeds each arm has, in words: one number where all have as many."""
    counts = sorted(set(seeds.values()), reverse=True)
    if len(counts) == 1:
        return f"{counts[0]} training seed{'s' * (counts[0] != 1)}"
    named = (f"{count} ({', '.join(arm for arm, own in seeds.items() if own == count)})" for count in counts)
    return f"training seeds: {', '.join(named)}"


def _band_note(panel: Panel) -> str:
    """Return what bands are, and where some lines have none which lines have them."""
    few = len(panel.banded) < len(panel.lines)
    named = ", ".join(panel.lines[index].label for index in panel.banded)
    return f"Bands: 95 % intervals{f' (of {named})' if few else ''}."


def _change_caption(rows: pd.DataFrame, measured: str) -> str:
    """Return how changes were measured."""
    seeds = rows["training_seeds"]
    alone = "images alone are random" if seeds.max() == 1 else "both images and training seeds are random"
    some = ", with one training seed images alone" if seeds.min() == 1 < seeds.max() else ""
    single = [str(arm) for arm, part in rows.groupby("arm", sort=False) if len(part) == 1 and not _is_beginning(part)]
    lying = (
        f" An arm that answers at t = 0 alone ({', '.join(single)}) stands beside every t, as its difference "
        "from the network at t = 0."
        if single and rows["timestep"].max()
        else ""
    )
    return (
        "Each arm that has time is held against its own t = 0, where it answers as the network does. "
        f"{measured} Bands are 95 % intervals, each for its own point: {alone}{some}.{lying}"
    )


def blur_chart(rows: pd.DataFrame, arms: Sequence[str], images: int, where: str) -> Chart:
    """Return clean accuracy against accuracy under a suite: the curve of input blurs, and a point for each arm.

    Args:
        rows: Of the table `blur`: those of one suite.
        arms: All arms of the study in their order, the network first.
        images: How many images were measured.
        where: Under what, in words: a question about the same suite may be about fewer conditions.
    """
    suite = str(rows["suite"].iloc[0])
    curve = rows[rows["width"].notna()].sort_values("width", ascending=False)  # it ends where its name stands
    points = rows[rows["width"].isna()]
    means = points.groupby("point", sort=False)[["clean_accuracy", "accuracy"]].mean()
    widths = ", ".join(f"{width:g}" for width in curve["width"])
    lines = [_points(f"blurs of {curve['width'].min():g} to {curve['width'].max():g} px", curve, images)]
    lines += [_points(arm, means.loc[[arm]], images) for arm in arms if arm in means.index]
    seeds = {str(arm): max(1, part["training_seed"].nunique()) for arm, part in points.groupby("point", sort=False)}
    return Chart(
        name=f"blur-{suite}",
        suite=suite,
        model="",
        what="Clean accuracy against accuracy",
        where=where,
        caption=(
            f"The line joins Gaussian blurs before the plain network, of {widths} px in this order. Each other point "
            f"is an arm at its own last t, the mean over its training seeds; {images:,} images; "
            f"{_seed_words(seeds)}. An arm above the line keeps more accuracy {where} than a blur of the same clean "
            "accuracy. No intervals are drawn: the answers have them."
        ),
        x_label="clean accuracy (%)",
        y=f"accuracy under {suite}",
        y_scale="level",
        x="share",
        norm=None,
        legend_title="arm",
        colours="arm",
        panels=(Panel("", tuple(lines)),),
    )


def _points(label: str, rows: pd.DataFrame, images: int) -> Line:
    x, y = (tuple(in_percent(value) for value in rows[name]) for name in ("clean_accuracy", "accuracy"))
    unknown = (math.nan,) * len(x)
    return Line(label, x, y, unknown, unknown, (images,) * len(x))


def study_figure(chart: Chart, file: str, qualifier: str) -> dict[str, Any]:
    """Return a figure for the template, with its numbers for the script and a link to the file of its numbers."""
    values = figure_values([(0, chart)])
    return {
        "id": chart.name,
        "title": chart.plain_title,
        "caption": chart.caption,
        "qualifier": qualifier,
        "panels": [panel["title"] for panel in values["panels"]],
        "drawn": values,
        "links": [{"text": "CSV", "file": file}],
        "commands": [],
    }
