"""Oracle: the sizes of true runs on ImageNet-C, which are read; what the variable says, in the message."""

from __future__ import annotations

import json
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from pcbench.errors import DataError, UsageError
from pcbench.limits.bounds import CSV_GROWTH, allowed, memory_limit
from pcbench.limits.text import MOST_LEVELS, parse_json, parsed_toml, read_json
from pcbench.models.weights import read_weights
from pcbench.results.columns import METRICS_COLUMNS
from pcbench.results.metrics_table import metrics_table, read_metrics, write_metrics
from pcbench.results.schema import made_table, read_outcomes, write_outcomes

IMAGES, TIMESTEPS = 50_000, 11


def test_a_condition_of_imagenet_c_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = IMAGES * TIMESTEPS
    names = np.array([f"n01440764/ILSVRC2012_val_{image:08d}.JPEG" for image in range(IMAGES)])
    table = made_table(
        "outcomes",
        {
            "suite": "imagenet-c",
            "kind": "corruption",
            "name": "gaussian_noise",
            "severity": 5,
            "image_id": np.repeat(names, TIMESTEPS),
            "label": np.repeat(rng.integers(0, 1000, IMAGES), TIMESTEPS),
            "timestep": np.tile(np.arange(TIMESTEPS), IMAGES),
            "prediction": rng.integers(0, 1000, rows),
            "correct": rng.random(rows) < 0.5,
            "confidence": rng.random(rows),
        },
    )
    write_outcomes(table, tmp_path / "a.parquet")
    assert read_outcomes(tmp_path / "a.parquet").num_rows == rows


def test_a_hundred_thousand_metrics_are_read(tmp_path: Path) -> None:
    row: dict[str, object] = dict.fromkeys(METRICS_COLUMNS)
    row |= {"model": "pefficientnet_b0", "suite": "imagenet-c", "kind": "corruption", "name": "gaussian_noise"}
    row |= {"severity": 5, "baseline": "alexnet (subset, not comparable)", "metric": "corruption_error"}
    values = np.random.default_rng(0).random(100_000).tolist()
    numbers = [{"value": value, "ci_low": value / 2, "ci_high": value + 1, "n": IMAGES} for value in values]
    # No row twice, which would be refused.
    rows = [row | {"timestep": at % 1000, "epsilon": at // 1000 / 255} | each for at, each in enumerate(numbers)]
    write_metrics(metrics_table(rows), tmp_path)
    assert read_metrics(tmp_path / "metrics.parquet")["value"].tolist() == values
    assert (tmp_path / "metrics.csv").stat().st_size < memory_limit() / CSV_GROWTH


def test_weights_of_several_gigabytes_are_read(tmp_path: Path) -> None:
    size = 3 * 10**9
    about = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(about)) + about)
        file.truncate(8 + len(about) + size)  # takes no space: nothing is written there
    assert read_weights(tmp_path / "a.safetensors")["weight"].shape == (size,)


def test_the_limit_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(["a" * 100]))
    assert read_json(path) == ["a" * 100]
    monkeypatch.setenv("PCBENCH_READ_GB", "0.000001")
    with pytest.raises(DataError) as caught:
        read_json(path)
    assert str(caught.value) == (
        f"{path}: is a text of 104 bytes, and at most 62 bytes are read; if you trust it, set PCBENCH_READ_GB to more "
        "gigabytes (now 1e-06)"
    )
    monkeypatch.setenv("PCBENCH_READ_GB", "2")
    assert memory_limit() == 2 * 10**9
    assert read_json(path)


def test_a_file_that_really_is_large_may_take_more() -> None:
    assert allowed(10) == memory_limit()
    assert allowed(10**9) == 32 * 10**9


@pytest.mark.parametrize("text", ["no", "0", "-1", "inf", "nan"])
def test_what_is_no_limit_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCBENCH_READ_GB", text)
    with pytest.raises(UsageError, match="PCBENCH_READ_GB is a positive number of gigabytes"):
        memory_limit()


def test_depth_is_counted_in_levels() -> None:
    deepest = "[" * MOST_LEVELS + "]" * MOST_LEVELS
    assert parse_json(deepest, "a")
    for deeper in (f"[{deepest}]", f'{{"a": {deepest}}}'):
        with pytest.raises(DataError, match="a: is nested more than 64 levels deep"):
            parse_json(deeper, "a")


def test_a_device_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(DataError, match="/dev/zero: is a text of at least"):
        read_json(Path("/dev/zero"))


def test_numbers_and_dates_with_many_dots_are_no_long_key(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    numbers = ", ".join(["0.5"] * 1000)
    path.write_text(f'a = [{numbers}]\nb = "{"." * 1000}"\r\nc.d.e = "1.2.3"\n')
    assert parsed_toml(path) == {"a": [0.5] * 1000, "b": "." * 1000, "c": {"d": {"e": "1.2.3"}}}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_that_nobody_writes_to_is_empty_and_one_that_is_written_to_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="Expecting value"):
        read_json(pipe)  # before, this waited without end
    reading, writing = os.pipe()  # as a shell's <(command)
    later = threading.Timer(0.2, lambda: (os.write(writing, b"[3]"), os.close(writing)))
    later.start()
    assert read_json(Path(f"/dev/fd/{reading}")) == [3]
    later.join()
    os.close(reading)
