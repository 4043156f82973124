"""Runs that are cut into shards, for the tests of shards and of merging them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pcbench
from pcbench.errors import PcbenchError, UsageError
from pcbench.harness.start import run

OPTIONS: dict[str, Any] = {
    "model": "pdigits",
    "data": "digits",
    "images": 16,
    "timesteps": 0,
    "batch_size": 4,
    "block_size": 8,
    "threads": 1,
    "workers": 1,
    "checks": False,
    "progress": False,
}
OF = 4


def all_shards(options: dict[str, Any], folder: Path, of: int = OF) -> Path:
    """Make every shard of a run; return the folder that holds them."""
    for number in range(1, of + 1):
        run(**options, out=folder, shard=f"{number}/{of}")
    return folder


def folder_of(shards: Path, number: int, of: int = OF) -> Path:
    """Return the folder of one shard."""
    return shards / f"shard-{number:03d}-of-{of:03d}"


def refusal(shards: object, out: Path, error: type[PcbenchError] = UsageError, **options: Any) -> str:
    """Return the one line in which a merge is refused, which leaves nothing."""
    with pytest.raises(error) as refused:
        pcbench.merge(shards, out, **options)  # type: ignore[arg-type]
    assert not out.exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)
