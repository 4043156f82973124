"""What a run with several settings of hyperparameters shows: its numbers by setting, as charts and as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from pcbench.comparison.verdicts import verdicts_of
from pcbench.metrics.marks import marks_title
from pcbench.metrics.representations import CORRELATION_DISTANCE, RECONSTRUCTION_ERROR, pcoders_of
from pcbench.metrics.shown import level_symbol, own_timestep, shown_epsilon, shown_levels
from pcbench.names import attack_title, words
from pcbench.network.grid import value_text
from pcbench.norms import epsilon_text
from pcbench.reports.charts import Chart, Line, Panel, joined_verdicts, line, places_of, texts
from pcbench.reports.matrices import ROBUST, Matrix, matrix_row
from pcbench.results.directory import Run

_WITHIN = "attack_success_rate_within"
_BANDS = "Bands are 95 % intervals over images; pcbench compare of two settings gives their paired difference."
_SAME = "The same images everywhere."


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One number by setting and timestep."""

    name: str
    """What it is called in file names; quantities of one name share a chart."""
    y: str
    """What the axis of that chart is called."""
    title: str
    """What tells it from others of its name."""
    rows: pd.DataFrame
    """Its rows of the tidy table: one for each setting and timestep."""
    in_percent: bool = True
    """Whether it is a share of images."""
    robust: bool = False
    """Whether it can only be believed where the attacks can."""


class BySetting:
    """The numbers of a run with several settings.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        grid = run.spec.settings.grid
        self.model = str(run.spec.model["name"])
        self.names: Sequence[str] = grid.swept
        self.values: Sequence[Mapping[str, float]] = [setting.values for setting in grid.settings]
        self._metrics = run.metrics
        self._verdicts = [verdicts_of(one) for one in run.setting_runs]

    @property
    def heading(self) -> str:
        """What the settings differ in."""
        return ", ".join(self.names)

    @property
    def suites(self) -> list[str]:
        """The suites."""
        return texts(self._metrics["suite"])

    def text(self, values: Mapping[str, float]) -> str:
        """Return what a setting is called under `heading`."""
        return ", ".join(value_text(values[name]) for name in self.names)

    def in_words(self, text: str) -> str:
        """Return what a setting of this text is called in a sentence."""
        values = text.split(", ")
        return ", ".join(f"{name} = {value}" for name, value in zip(self.names, values, strict=True))

    def quantities(self, suite: str) -> list[Quantity]:
        """Return the numbers of one suite that are shown."""
        return list(_quantities(self._metrics[self._metrics["suite"] == suite]))

    def rows_of(self, quantity: Quantity) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield each setting and its rows."""
        for values in self.values:
            rows = quantity.rows
            for name in self.names:
                rows = rows[rows[name] == values[name]]
            yield self.text(values), rows

    def verdict(self, suite: str, timesteps: Sequence[int]) -> str | None:
        """Return the verdict on the attacks on some timesteps, of all settings."""
        said = zip(self.values, self._verdicts, strict=True)
        return settings_verdict([(self.text(values), one.words(suite, timesteps)) for values, one in said])

    def charts(self, suite: str) -> Iterator[Chart]:
        """Yield the charts of one suite: against t, and against the hyperparameter where there is one."""
        groups: dict[str, list[Quantity]] = {}
        for quantity in self.quantities(suite):
            groups.setdefault(quantity.name, []).append(quantity)
        for group in groups.values():
            yield self._chart(suite, group, [Panel(one.title, tuple(self._over_time(one))) for one in group])
            if len(self.names) == 1:
                panels = [Panel(one.title, tuple(self._over_values(one))) for one in group]
                yield self._against_value(self._chart(suite, group, panels))

    def matrices(self, suite: str) -> Iterator[Matrix]:
        """Yield the tables of one suite, a row for each setting and a column for each timestep."""
        for one in self.quantities(suite):
            if not one.in_percent:
                continue
            yield Matrix(
                f"{suite}-{one.name}-by-{'-'.join(self.names)}",
                self.title(suite, one),
                self.heading,
                tuple(sorted({int(t) for t in one.rows["timestep"]})),
                tuple(matrix_row(text, rows) for text, rows in self.rows_of(one)),
            )

    def title(self, suite: str, quantity: Quantity) -> str:
        """Return what the table of a quantity is called: what it is, whether it can be believed, in which unit."""
        timesteps = sorted({int(t) for t in quantity.rows["timestep"]}, reverse=True)
        believed = f" ({self.verdict(suite, timesteps)})" if quantity.robust else ""
        unit = ", in %" if quantity.in_percent else ""
        what = f"{quantity.y[:1].upper()}{quantity.y[1:]}, {quantity.title}"
        return f"{what}{believed}, of {self.model} on {suite}{unit}{marks_title(quantity.rows)}"

    def _over_time(self, quantity: Quantity) -> Iterator[Line]:
        places = list(places_of([float(index) for index in range(len(self.values))]).values())
        for index, (text, rows) in enumerate(self.rows_of(quantity)):
            drawn = line(rows, "timestep", text, 100.0 if quantity.in_percent else 1.0)
            yield dataclasses.replace(drawn, place=places[index])

    def _over_values(self, quantity: Quantity) -> Iterator[Line]:
        (name,) = self.names
        timesteps = sorted({int(t) for t in quantity.rows["timestep"]})
        places = places_of([float(t) for t in timesteps])
        for timestep in timesteps:
            rows = quantity.rows[quantity.rows["timestep"] == timestep]
            drawn = line(rows, name, str(timestep), 100.0 if quantity.in_percent else 1.0)
            yield dataclasses.replace(drawn, place=places[float(timestep)])

    def _chart(self, suite: str, group: Sequence[Quantity], panels: Sequence[Panel]) -> Chart:
        first, by = group[0], " and ".join(map(words, self.names))
        timesteps = sorted({int(t) for one in group for t in one.rows["timestep"]}, reverse=True)
        return Chart(
            name=f"{first.name}-by-{'-'.join(self.names)}",
            suite=suite,
            model=self.model,
            what=first.y.capitalize(),
            where=f"on {suite} at every timestep, by {by}",
            caption=f"{first.y.capitalize()} at every timestep, one line for each value of {by}. {_SAME} {_BANDS}",
            verdict=self.verdict(suite, timesteps) if any(one.robust for one in group) else None,
            x_label="timestep t" if len(panels) > 1 else "timestep t (number of updates)",
            y=first.y,
            y_scale="share" if first.in_percent else "number",
            x="timestep",
            norm=None,
            legend_title=self.heading,
            colours="setting",
            panels=tuple(panels),
        )

    def _against_value(self, chart: Chart) -> Chart:
        (name,) = self.names
        return dataclasses.replace(
            chart,
            name=chart.name.replace("-by-", "-against-", 1),
            where=f"on {chart.suite} against {words(name)}",
            caption=f"{chart.y.capitalize()} against {words(name)}, one line for each timestep t. {_SAME} {_BANDS}",
            x="value",
            x_label=words(name),
            legend_title="timestep t",
            colours="timestep",
        )


def settings_verdict(said: Sequence[tuple[str, str]]) -> str | None:
    """Return the verdict on attacks, of all settings: each verdict once, with its setting, or how many it is of.

    Args:
        said: Each setting and its verdict.
    """
    settings: dict[str, list[str]] = {}
    for label, verdict in said:
        settings.setdefault(verdict, []).append(label)
    whose = [
        (labels[0] if len(labels) == 1 else f"{len(labels)} of {len(said)} settings", verdict)
        for verdict, labels in settings.items()
    ]
    return joined_verdicts(whose)


def _quantities(rows: pd.DataFrame) -> Iterator[Quantity]:
    accuracy = rows[rows["metric"] == "accuracy"]
    mean = accuracy[(accuracy["kind"] == "summary") & accuracy["severity"].isna()]
    if len(mean):
        over = "the corruptions" if (rows["kind"] == "corruption").any() else "all noises"
        yield Quantity("accuracy", "accuracy", f"mean over {over}", mean)
    clean = accuracy[accuracy["kind"] == "clean"]
    if len(clean):
        yield Quantity("accuracy", "accuracy", "clean", clean)
    yield from _of_noise(rows[rows["kind"] == "noise"])
    yield from _of_attacks(rows[rows["kind"] == "attack"])


def _of_noise(rows: pd.DataFrame) -> Iterator[Quantity]:
    for name, level in shown_levels(rows).items():
        noise = rows[(rows["name"] == name) & (rows["epsilon"] == level)]
        said = f"{words(name)}, {level_symbol([name])} = {level:.3g}"
        accuracy = noise[noise["metric"] == "accuracy"]
        if len(accuracy):
            yield Quantity("accuracy", "accuracy", said, accuracy)
        for metric in (CORRELATION_DISTANCE, RECONSTRUCTION_ERROR):
            for full, pcoder in pcoders_of(metric, noise["metric"]).items():
                title = f"PCoder {pcoder}, {said}" if pcoder else said
                found = noise[noise["metric"] == full]
                yield Quantity(metric.replace("_", "-"), words(metric), title, found, in_percent=False)


def _of_attacks(rows: pd.DataFrame) -> Iterator[Quantity]:
    own = own_timestep(rows)
    for (name, norm), part in own.groupby(["name", "norm"], sort=False, observed=True):
        epsilon = shown_epsilon(part)
        if epsilon is None:
            continue
        at = part[part["epsilon"] == epsilon]
        aimed = at["targeted"].eq(other=True).fillna(value=False)
        title = f"{attack_title(name)}, ε = {epsilon_text(epsilon, str(norm))}"
        robust, reached = at[~aimed & (at["metric"] == ROBUST)], at[aimed & (at["metric"] == _WITHIN)]
        if len(robust):
            yield Quantity("robust-accuracy", "robust accuracy", title, robust, robust=True)
        if len(reached):
            yield Quantity("targets-reached", "targets reached", title, reached, robust=True)
