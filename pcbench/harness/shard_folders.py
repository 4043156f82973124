"""Which shards lie in some folders, finished or not, and who works on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcbench.errors import UsageError
from pcbench.files import UNFINISHED, real_path
from pcbench.harness.shard_numbers import ShardNumber, shard_of_folder
from pcbench.results.directory import SHARD_MANIFEST
from pcbench.results.lock import Holder, holder


@dataclass(frozen=True)
class ShardFolder:
    """The folder of a shard, finished or not."""

    folder: Path
    """Where the finished shard lies, or will lie."""
    named: ShardNumber | None
    """The shard that its name says; None where it was renamed."""
    holder: Holder | None
    """Who works on it now."""

    @property
    def is_finished(self) -> bool:
        """Whether the finished shard is there."""
        return (self.folder / SHARD_MANIFEST).is_file()


def find_shards(folders: Sequence[Path]) -> list[ShardFolder]:
    """Return the shards that lie in folders, ordered by number and folder.

    Args:
        folders: Folders of shards, or folders that hold such folders.

    Raises:
        UsageError: There is no such folder, it holds no shard, or a shard is there twice.
    """
    if not folders:
        raise UsageError("name the folders of the shards: pcbench merge DIR --out RUN")
    found: dict[Path, ShardFolder] = {}
    for given in folders:
        folder = real_path(given)
        here = [folder] if _is_shard(folder) else _shards_in(folder)
        if not here:
            what = "holds no shards" if folder.is_dir() else "is not a folder"
            raise UsageError(f"{given} {what}; give the folder that `pcbench run --shard` was given with --out")
        for path in here:
            if path in found:
                raise UsageError(f"{path} is given twice; name it once")
            found[path] = ShardFolder(path, shard_of_folder(path), holder(path))
    return sorted(found.values(), key=lambda one: (one.named or ShardNumber(0, 0), one.folder))


def array_list(numbers: Iterable[int]) -> str:
    """Return numbers as the option of a Slurm array has them: ``--array=3,17,22-24``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    # Two neighbours are no shorter as a range.
    return "--array=" + ",".join(",".join(_range(first, last)) for first, last in runs)


def _range(first: int, last: int) -> Iterator[str]:
    if last - first >= 2:
        yield f"{first}-{last}"
    else:
        yield from map(str, range(first, last + 1))


def _shards_in(folder: Path) -> list[Path]:
    try:
        # A shard that is only begun has nothing but the files of its lock, such as shard-003-of-040.lock.
        names = sorted({path.with_name(path.name.partition(".")[0]) for path in folder.iterdir() if _named(path)})
        names += sorted(path for path in folder.iterdir() if not _named(path))
    except (NotADirectoryError, FileNotFoundError):
        return []
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read ({error.strerror})") from error
    return [path for path in names if _is_shard(path)]


def _named(path: Path) -> bool:
    return shard_of_folder(Path(path.name.partition(".")[0])) is not None


def _is_shard(path: Path) -> bool:
    """Return whether a path is the folder of a shard, finished or unfinished, or would be that of one being started."""
    if (path / SHARD_MANIFEST).is_file():
        return True
    unfinished = path.with_name(path.name + UNFINISHED)
    return shard_of_folder(path) is not None and (unfinished.is_dir() or holder(path) is not None)
