"""Which shard of a run a process computes: as it is given, or as the scheduler's environment says it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pcbench.errors import UsageError

MOST_SHARDS = 100_000
_SLURM, _KUBERNETES = "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"
_FOLDER = re.compile(r"shard-(?P<number>[0-9]+)-of-(?P<of>[0-9]+)")


@dataclass(frozen=True, order=True)
class ShardNumber:
    """One shard of several."""

    of: int
    """How many there are."""
    number: int
    """Which one, from 1."""
    origin: str = ""
    """Where the number was read, in words; empty where it was given."""

    @property
    def folder(self) -> str:
        """The name of its folder."""
        width = max(3, len(str(self.of)))
        return f"shard-{self.number:0{width}d}-of-{self.of:0{width}d}"

    @property
    def words(self) -> str:
        """What messages call it."""
        return f"shard {self.number} of {self.of}"

    @property
    def sentence(self) -> str:
        """It, and where its number was read."""
        return f"{self.words}, from {self.origin}" if self.origin else self.words


def read_shard(text: str, environment: Mapping[str, str] | None = None) -> ShardNumber:
    """Return the shard that an option names.

    Args:
        text: ``"3/40"``, the third of 40; or ``"auto/40"``, where Slurm's array or Kubernetes' Indexed Job says which.
        environment: The variables of the process; those of this one by default.

    Raises:
        UsageError: There is no such shard, or the environment does not say which.
    """
    found = re.fullmatch(r"\s*(auto|[0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    if found is None:
        raise UsageError(f"`shard` is a number and how many there are, 3/40 or auto/40 (got {text!r})")
    of = int(found[2])
    if not 1 <= of <= MOST_SHARDS:
        raise UsageError(f"a run is split into 1 to {MOST_SHARDS:,} shards (got shard={text!r})")
    if found[1] == "auto":
        return _from_environment(of, os.environ if environment is None else environment)
    number = int(found[1])
    if not 1 <= number <= of:
        raise UsageError(f"the shards of {of} are 1/{of} to {of}/{of} (got shard={text!r})")
    return ShardNumber(of, number)


def shard_of_folder(folder: Path) -> ShardNumber | None:
    """Return the shard whose folder has this name, finished or not; None where it is no shard's."""
    found = _FOLDER.fullmatch(folder.name.removesuffix(".partial"))
    if found is None or not 1 <= int(found["number"]) <= int(found["of"]):
        return None
    return ShardNumber(int(found["of"]), int(found["number"]))


def _from_environment(of: int, environment: Mapping[str, str]) -> ShardNumber:
    # An empty variable says nothing: scripts and manifests pass variables on that are not set.
    slurm, kubernetes = environment.get(_SLURM, ""), environment.get(_KUBERNETES, "")
    if slurm and kubernetes:
        raise UsageError(f"both {_SLURM}={slurm} and {_KUBERNETES}={kubernetes} are set; name the shard: shard=1/{of}")
    if slurm:
        number, origin = _number(_SLURM, slurm, of), f"{_SLURM}={slurm}"
        if not 1 <= number <= of:
            raise UsageError(f"{origin} is none of {of} shards, which are numbered from 1; submit with --array=1-{of}")
        return ShardNumber(of, number, origin)
    if kubernetes:
        number, origin = _number(_KUBERNETES, kubernetes, of), f"{_KUBERNETES}={kubernetes}, counted from 0"
        if not 0 <= number < of:
            raise UsageError(f"{_KUBERNETES}={kubernetes} is none of {of} shards; set the job's completions to {of}")
        return ShardNumber(of, number + 1, origin)
    raise UsageError(
        f"shard='auto/{of}' reads {_SLURM} (Slurm) or {_KUBERNETES} (Kubernetes), and neither is set: is this a task "
        f"of an array? Name the shard otherwise: shard=1/{of}"
    )


def _number(name: str, text: str, of: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UsageError(f"{name}={text!r} is not a number of a task; name the shard: shard=1/{of}")
    return int(text)
