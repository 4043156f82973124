"""Oracle: the committed reference of the default run, `results/pdigits.npz`, which CI holds a run against."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from made_runs import made_run

from pcbench.cli.run_table import print_summary
from pcbench.comparison.answer import answers
from pcbench.comparison.compare import compare_timesteps
from pcbench.comparison.compare_output import compare_markdown
from pcbench.comparison.reference import read_reference
from pcbench.metrics.rates import Estimate
from pcbench.metrics.rows import cell_row
from pcbench.reports.page.content import page_content
from pcbench.results.metrics_table import metrics_table
from pcbench.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_tells_the_answer_of_the_default_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = read_reference(ROOT / "results" / "pdigits.npz")
    attacks = held.suites[1]
    rows = [
        {"model": "pdigits", "suite": attacks.suite, **cell_row(cell, "robust_accuracy", Estimate(0.5, 0.4, 0.6, 100))}
        for cell in attacks.cells
        if cell.condition.kind == "attack"
    ]
    run = made_run(tmp_path / "run", held.spec, {}, metrics=metrics_table(rows))
    timesteps = sorted({cell.timestep for cell in attacks.cells})
    checks = [{"suite": attacks.suite, "timestep": t, "verdict": "consistent", "reasons": []} for t in timesteps]
    (run.folder / "checks.json").write_text(json.dumps(checks), encoding="utf-8")
    monkeypatch.setattr("pcbench.comparison.scored.read_scores", lambda *_, **__: (list(held.suites), {}))
    told = [answer.text for answer in answers(dataclasses.replace(run, spec=held.spec))]
    assert [text.split(":")[0] for text in told] == ["Undecided", "Yes"]
    quoted = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    readme = " ".join(line.removeprefix("> ") for line in quoted)
    assert [text for text in told if text not in readme] == []
    # The terminal, `pcbench compare` and the page say the same of the same run.
    told_run = dataclasses.replace(run, spec=held.spec)
    terminal = Terminal(record=True, width=2000)
    print_summary(told_run, terminal)
    printed = terminal.export_text()
    assert [text for text in told if f"- {text}" not in printed] == []
    compared = compare_markdown(compare_timesteps(told_run), told)
    assert [text for text in told if f"- {text}" not in compared] == []
    (shown,) = page_content([told_run]).values["runs"]
    assert [f"{one['word']}{one['rest']}" for one in shown["answers"]] == told
    worst = [line for line in compared.splitlines() if line.startswith("| digits-linf | robust accuracy under worst")]
    (last,) = [line for line in worst if "| t = 8 |" in line]
    assert all(f"{number}" in last for number in ("45.9", "50.4", "+4.5 [+2.8, +6.1]", "| ≤ 0.008 |"))
