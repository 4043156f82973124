"""Oracle: the shipped configuration of pdigits, whose three predictors' sizes can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import pcbench
from pcbench.cli.main import main
from pcbench.cli.predify import predify_command
from pcbench.errors import UsageError

CONFIGURATION = Path(pcbench.__file__).parent / "models" / "configurations" / "pdigits.toml"
BACKBONE = "pcbench.models.architectures:digits_network"


def test_the_pcoders_of_a_configuration_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(["predify", str(CONFIGURATION), "--backbone", BACKBONE])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    # weights of a k x k transposed convolution from a to b channels: a * b * k * k, and b biases
    for weights in (4 * 3 * 9 + 3, 8 * 4 * 16 + 4, 16 * 8 * 16 + 8):
        assert f"{weights:,}" in printed


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="PCoder"):
        predify_command(CONFIGURATION, "pcbench.models.architectures:digits_alexnet")
