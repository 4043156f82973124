"""The folder of a finished shard, a share of a run's units: their parts, the plan of the whole run, and a manifest.

    <folder>/shard.json           what was run, which shard this is, on what and for how long, a hash of every file
    <folder>/parts/               the parts of its units, one file each
    <folder>/plan/                the saved plan of the whole run
    <folder>/locations.toml       where files were and on which host, not published

The manifest has another name than a run's, so that no shard is taken for a run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from pcbench.errors import DataError, UsageError
from pcbench.results.directory import MANIFEST, SHARD_MANIFEST, Run, partial_folder, read_manifest
from pcbench.results.parts import ENDING, Part, read_part

if TYPE_CHECKING:
    import pandas as pd

PARTS, PLAN_FOLDER = "parts", "plan"


@dataclasses.dataclass(frozen=True, repr=False)
class Shard(Run):
    """A finished shard of a run. It has parts and no tables: `pcbench.merge` makes the run of all shards."""

    @property
    def number(self) -> int:
        """Which shard it is, from 1."""
        return int(self.manifest["shard"])

    @property
    def of(self) -> int:
        """How many shards the run was split into."""
        return int(self.manifest["of"])

    @property
    def units_sha256(self) -> str:
        """Hash over the units of the whole plan: shards with the same were shared out alike."""
        return str(self.manifest["units"])

    @property
    def machines(self) -> dict[str, int]:
        """How many of its parts each kind of CPU or GPU made."""
        return {str(kind): int(count) for kind, count in self.manifest["machines"].items()}

    @property
    def failures(self) -> dict[str, str]:
        """Why units could not be done, by their paths."""
        return {str(entry["unit"]): str(entry["reason"]) for entry in self.missing}

    @property
    def parts(self) -> dict[str, str]:
        """The hash of the file of each part, by the path of its unit."""
        names = ((name, digest) for name, digest in self.manifest["files"].items() if name.startswith(f"{PARTS}/"))
        return {name.removeprefix(f"{PARTS}/").removesuffix(ENDING): digest for name, digest in names}

    @property
    def metrics(self) -> pd.DataFrame:
        """None: a shard has no tables.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{self.folder} is a shard, which has no tables; merge it with the others: pcbench merge")

    def read_part(self, unit: str) -> Part:
        """Read the part of a unit.

        Raises:
            PartError: It is missing, damaged, or belongs to another run or unit.
        """
        return read_part(self.folder / PARTS / f"{unit}{ENDING}", key=self.key, unit=unit)

    def __repr__(self) -> str:
        return f"Shard({self.number} of {self.of}, key {self.key}, in {str(self.folder)!r})"


def open_shard(folder: Path | str, *, verify: bool = True) -> Shard:
    """Open a finished shard.

    Args:
        folder: The shard's folder.
        verify: Whether to compare every file with its hash in the manifest.

    Raises:
        UsageError: The folder holds no finished shard.
        DataError: The manifest or one of the files is damaged or of an unknown version.
    """
    folder = Path(folder)
    if not (folder / SHARD_MANIFEST).is_file():
        state = "is not a shard of a run"
        if partial_folder(folder).is_dir():
            state = "is an unfinished shard: start it again to continue"
        elif (folder / MANIFEST).is_file():
            state = "is a run, not a shard of one"
        raise UsageError(f"{folder} {state}")
    found = Shard(folder, *read_manifest(folder, SHARD_MANIFEST, verify=verify))
    try:
        _ = found.number, found.of, found.units_sha256, found.machines, found.parts, found.failures
        told = found.manifest  # what a merged run says of when and for how long its shards ran
        _ = told["started"], float(told["seconds"]), told["waited_for_images"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        name = folder / SHARD_MANIFEST
        raise DataError(f"{name}: damaged ({type(error).__name__}); run it again with again=True") from error
    return found
