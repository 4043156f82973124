"""Oracle: the ε at which the run's own checks judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pcbench.attacks.checks import rivals
from pcbench.cli.run_table import print_summary
from pcbench.harness.start import run
from pcbench.metrics.shown import shown_epsilon
from pcbench.norms import epsilon_text
from pcbench.reports.heat_maps import heat_maps
from pcbench.reports.page.examples import read_examples
from pcbench.reports.page.headline import headline
from pcbench.terminal import Terminal


@pytest.mark.with_pictures
def test_terminal_page_figures_examples_and_checks_show_the_same_budget(
    attack_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivals, "SQUARE_QUERIES", 10)
    monkeypatch.setattr(rivals, "RANDOM_TRIALS", 5)
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    finished = run(
        "pdigits",
        [str(attack_suite)],
        out=tmp_path / "run",
        images=12,
        timesteps=1,
        checks=True,
        progress=False,
        epsilons=("1/255", "16/255", "64/255", "96/255"),
    )
    metrics = finished.metrics
    judged = json.loads((finished.folder / "checks.json").read_text(encoding="utf-8"))[0]
    text = epsilon_text(judged["epsilon"], "linf")
    name = str(judged["attack"])
    # Another rule, such as the middle one of the sweep, gives another budget here.
    budgets = sorted(set(metrics[metrics["name"] == name]["epsilon"].dropna()) - {0.0})
    assert judged["epsilon"] != budgets[len(budgets) // 2]

    assert shown_epsilon(metrics[metrics["name"] == name]) == judged["epsilon"]
    console = Terminal(record=True, width=300)
    print_summary(finished, console)
    assert f"{name} ε={text}" in console.export_text()
    before, after = (sentence for _, sentence in headline(finished) if f"under {name.upper()}, L∞ (" in sentence)
    assert f"within ε = {text} is" in before
    assert f"within ε = {text} alone" in after
    of_suite = metrics[metrics["suite"] == attack_suite.name]
    (panel,) = (panel for chart in heat_maps(of_suite) for panel in chart.panels)
    assert panel.title == f"{name.upper()}, ε = {text}"
    pictures = [picture for example in read_examples(finished.folder) for picture in example.pictures]
    adversarial = [picture.title for picture in pictures if picture.kind == "adversarial"]
    assert len(adversarial) == 3 * 2  # three images, against t = 0 and t = 1
    assert all(title.endswith(f", ε = {text}") for title in adversarial)
    transfer = metrics[metrics["metric"] == "transfer_success_rate"]
    assert set(transfer["gradient"]) == {"exact"}
