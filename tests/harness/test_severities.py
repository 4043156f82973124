"""A suite whose corruptions have three and five severities. Oracle: the run's own outcomes, averaged by pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcbench.errors import DefinitionError
from pcbench.harness.start import run
from pcbench.network.network import PredictiveNetwork

NOISE, CONTRAST = (0.3, 0.5, 0.8), (0.5, 0.35, 0.25, 0.16, 0.1)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A suite of one corruption with three severities and one with five, and a baseline of both."""
    folder = tmp_path / "corruptions" / "mixed"
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text('version = 1\ntitle = "Mixed"\nsource = "a test"\n')
    for name, family, parameter, values in (
        ("gaussian_noise", "noise", "standard_deviation", NOISE),
        ("contrast", "digital", "factor", CONTRAST),
    ):
        (folder / f"{name}.toml").write_text(
            f'title = "{name}"\nfamily = "{family}"\nfunction = "{name}"\nsource = "a test"\n'
            f"[parameters]\n{parameter} = {list(values)}\n"
        )
    (folder / "baseline.toml").write_text(
        'name = "other"\nsource = "a test"\ndata = "digits"\n[errors]\ngaussian_noise = [0.4, 0.5, 0.6]\n'
        "contrast = [0.5, 0.5, 0.5, 0.5, 0.5]\n"
    )
    return folder


@pytest.mark.with_pictures
@pytest.mark.usefixtures("two_figures")
def test_three_severities_run_to_the_page(mixed: Path, network: PredictiveNetwork, tmp_path: Path) -> None:
    made = run(
        network, [str(mixed)], out=tmp_path / "run", images=12, timesteps=1, data="digits", progress=False, seed=0
    )
    outcomes = made.outcomes().query("kind == 'corruption' and timestep == 1")
    found = {str(name): sorted(set(rows["severity"])) for name, rows in outcomes.groupby("name", observed=True)}
    assert found == {"gaussian_noise": [1, 2, 3], "contrast": [1, 2, 3, 4, 5]}
    errors = 1 - outcomes.groupby("name", observed=True)["correct"].mean()
    metrics = made.metrics
    rows = metrics[(metrics["metric"] == "corruption_error") & (metrics["timestep"] == 1)].set_index("name")["value"]
    # Each corruption's baseline errors have the mean 0.5, over its own severities.
    np.testing.assert_allclose(rows.loc[list(errors.index)], errors / 0.5)
    pooled = metrics[(metrics["kind"] == "summary") & (metrics["metric"] == "error") & (metrics["timestep"] == 1)]
    hardest = pooled[pooled["severity"] == 5]["value"].item()
    of_contrast = outcomes[(outcomes["name"] == "contrast") & (outcomes["severity"] == 5)]
    assert hardest == pytest.approx(1 - of_contrast["correct"].mean())
    assert (tmp_path / "run" / "report" / "index.html").is_file()


def test_a_baseline_of_five_does_not_serve_a_corruption_of_three(
    mixed: Path, network: PredictiveNetwork, tmp_path: Path
) -> None:
    path = mixed / "baseline.toml"
    path.write_text(path.read_text().replace("[0.4, 0.5, 0.6]", "[0.4, 0.4, 0.5, 0.5, 0.6]"))
    with pytest.raises(DefinitionError, match="has 5 errors, but the corruption has 3 severities"):
        run(network, [str(mixed)], out=tmp_path / "run", images=12, timesteps=1, data="digits", progress=False)
