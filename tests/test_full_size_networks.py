"""benchmarks/full_size_networks.py on a small network and four made images.

Oracle: passes counted by hand; what the system says of a process that takes a known time or memory; the files' columns.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pcbench.cli.main import main as command_line

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "full_size_networks.py"
NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 9, stride=28), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 1000))
    network.mean, network.std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    return network
"""
CONFIGURATION = """
input_size = [3, 224, 224]

[[pcoders]]
module = "[1]"

[[pcoders]]
module = "[3]"
"""
MODEL = "small.toml@full_size_stand_in:small"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, which measures pcbench in this process: others take seconds to start."""
    specification = importlib.util.spec_from_file_location("full_size_networks", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "full_size_networks", module)
    specification.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return module


def given(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])


def test_missing_images_are_told_in_one_line(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, "--out", str(tmp_path / "out"))
    for folder in (None, tmp_path):
        monkeypatch.delenv("PCBENCH_TEST_DATA", raising=False)
        if folder is not None:
            monkeypatch.setenv("PCBENCH_TEST_DATA", str(folder))
        with pytest.raises(SystemExit, match=r"^2$"):
            script.main()
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_process_is_measured_by_what_it_took(script: ModuleType, tmp_path: Path) -> None:
    body = (
        "import sys, time; time.sleep(0.5); data = b'1' * 200_000_000; print(len(data)); sys.exit('wrong' in sys.argv)"
    )
    script.ENTRY = body
    seconds, processor, memory = script.run_measured([], tmp_path / "runs" / "one")
    assert seconds > 0.5
    assert processor > 0
    # It is at least what this process was, which may have loaded PyTorch; another unit would be a thousand times off.
    assert 200 < memory < 20_000
    with pytest.raises(SystemExit, match="ended with 1"):
        script.run_measured(["wrong"], tmp_path / "runs" / "two")


def test_a_small_network_is_measured_and_other_rows_stay(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full_size_stand_in.py").write_text(NETWORK)
    (tmp_path / "small.toml").write_text(CONFIGURATION)
    _write_images(tmp_path / "data" / "imagenette" / "val-500.parquet")
    monkeypatch.setenv("PCBENCH_TEST_DATA", str(tmp_path / "data"))
    times = iter([9.0, 3.0, 4.0, 5.0])

    def run_here(words: list[str], _: Path) -> tuple[float, float, float]:
        with pytest.raises(SystemExit) as ended:
            command_line(words)
        assert ended.value.code == 0, capsys.readouterr().err
        return 10.0, next(times), 250.0

    def prepared_here(model: str, folder: Path, _: object) -> dict[str, tuple[int, int]]:
        capsys.readouterr()
        given(monkeypatch, "--models", model, "--prepare", str(folder), "--commands", "noise", "pgd")
        script.main()
        return {name: (int(one[0]), int(one[1])) for name, one in json.loads(capsys.readouterr().out).items()}

    monkeypatch.setattr(script, "run_measured", run_here)
    monkeypatch.setattr(script, "_prepared", prepared_here)
    out = tmp_path / "out"
    out.mkdir()
    other = dict.fromkeys((field.name for field in script.fields(script.Measured)), "1") | {"model": "another"}
    with (out / "full-size.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(other))
        table.writeheader()
        table.writerow(other)
    given(monkeypatch, "--models", MODEL, "--commands", "noise", "pgd", "--out", str(out))
    script.main()
    with (out / "full-size.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == other
    assert [(row["model"], row["command"]) for row in rows[1:]] == [(MODEL, "start"), (MODEL, "noise"), (MODEL, "pgd")]
    _, start, noise, pgd = rows
    assert (start["cpu_seconds"], start["cpu_ms_per_pass"]) == ("3.0", "")
    # Two images, five steps, each back through the one pass of t = 0 and through the three of t = 2.
    assert pgd["gradient_passes"] == str(2 * 5 * (1 + 3))
    assert float(noise["cpu_ms_per_pass"]) == round(1000 / float(noise["forward_passes"]), 1)
    assert float(pgd["cpu_ms_per_pass"]) == round(2000 / (float(pgd["forward_passes"]) + 120), 1)
    page = (out / "README.md").read_text()
    assert page.startswith("# Time and memory of the networks at full size: no finding")
    assert "accuracy" not in (out / "full-size.csv").read_text()
    assert f"| {MODEL} | noise | 4 | 4 |" in page
    assert str(tmp_path) not in page


def _write_images(path: Path) -> None:
    path.parent.mkdir(parents=True)
    images = []
    for number in range(4):
        stream = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (224, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        images.append({"bytes": stream.getvalue(), "path": f"{number}.png"})
    pq.write_table(pa.table({"image": images, "label": [0, 217, 482, 491]}), path)
