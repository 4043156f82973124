"""Which Parquet files a text means: a file, a pattern, a folder of files, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcbench.data.listing import is_hidden
from pcbench.data.names import no_such_place
from pcbench.data.splits import is_split_name, splits_in, train_note
from pcbench.errors import DataError
from pcbench.files import file_sha256

_SHARD = re.compile(r"(?P<base>.*?)-(?P<number>\d+)-of-(?P<count>\d+)(?P<rest>\D.*)?")
_PARTIAL = "partial-"
# A repository's cache nests as deep as snapshots/<version>/<configuration>/<split>.
_DEEPEST = 4


@dataclass(frozen=True)
class FoundFiles:
    """The files of one split."""

    files: tuple[Path, ...]
    """In the order of their names."""
    notes: tuple[str, ...]
    """What a reader of the numbers must know about the choice."""
    subset: str | None
    """Where these are a part of what was published: which."""


def find_files(text: str, split: str) -> FoundFiles:
    """Find the files that a text means.

    Args:
        text: A file, a pattern, or a folder.
        split: Chooses among the files of a folder.

    Raises:
        DataError: There is no such file, a folder does not say which of its files are the split, a shard is missing,
            or a file is there twice.
    """
    path = Path(text)
    if path.is_dir():
        files = _in_folder(path, split, 0)
        missing = _missing_shards(files)
        if missing:
            raise DataError(f"{files[0].parent}: the shard {missing[0]} is missing{_more(missing)}; fetch it")
    else:
        files = [path] if path.is_file() else _matching(path)
        missing = _missing_shards(files)
    _refuse_copies(files)
    words = [f"without the shard {missing[0]}{_more(missing)}"] if missing else []
    words += [f"partial, as {name!r} says" for name in dict.fromkeys(_spoken(file) for file in files) if _partial(name)]
    note = None if split == "train" else train_note(map(_spoken, files))
    return FoundFiles(tuple(files), () if note is None else (note,), ", ".join(words) or None)


def split_beside(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of the other splits that lie beside the files of one: in its folder, or in the folders beside.

    The validation split comes first, whose labels are most often published.
    """
    folder = files[0].parent
    others = [file for file in _parquet_in(folder) if file not in files]
    if not splits_in(files[0].name) and _is_split(folder.name):
        others = [file for sister in _folders_in(folder.parent) if sister != folder for file in _parquet_in(sister)]
    found: dict[str, list[Path]] = {}
    for split in ("validation", "test", "train"):
        held = [file for file in others if splits_in(_spoken(file)) == (split,)]
        if held:
            found[split] = held
    return found


def _spoken(file: Path) -> str:
    """Return the name that speaks of a file's split: its own, or its folder's."""
    return file.parent.name if not splits_in(file.name) and _is_split(file.parent.name) else file.name


def _is_split(folder: str) -> bool:
    """Return whether a folder is of one split: Spark calls it ``test.parquet``."""
    return is_split_name(folder.removeprefix(_PARTIAL).removesuffix(".parquet"))


def _partial(name: str) -> bool:
    return name.startswith(_PARTIAL)


def _matching(path: Path) -> list[Path]:
    files = list(path.parent.glob(path.name)) if path.parent.is_dir() and path.name else list[Path]()
    found = sorted(file for file in files if not is_hidden(file.name))
    if not found:
        raise no_such_place("parquet", path)
    return found


def _in_folder(path: Path, split: str, depth: int) -> list[Path]:
    """Return the files of a split in a folder, or in the one folder inside that has Parquet files."""
    here = _parquet_in(path)
    if here:
        return _of_split(path, here, split)
    folders = [folder for folder in _folders_in(path) if _has_parquet(folder, depth + 1)]
    splits = [folder for folder in folders if _is_split(folder.name)]
    chosen = [folder for folder in splits if splits_in(folder.name) == (split,)]
    if splits and len(chosen) != 1:
        held = ", ".join(folder.name for folder in splits)
        raise DataError(f"{path}: has no one folder of the split {split!r} (it holds {held}); name one of them")
    inner = chosen or [folder for folder in folders if folder.name == "data"] or folders
    if len(inner) > 1:
        held = ", ".join(folder.name for folder in inner[:5])
        raise DataError(f"{path}: several folders hold Parquet files ({held}); name one of them: parquet:{inner[0]}")
    if not inner:
        raise _nothing(path, here, split)
    return _parquet_in(inner[0]) if chosen else _in_folder(inner[0], split, depth + 1)


def _of_split(path: Path, files: list[Path], split: str) -> list[Path]:
    if len(files) == 1:
        spoken = splits_in(files[0].name)
        if spoken and (spoken == ("train",)) != (split == "train"):
            raise _nothing(path, files, split)
        return files
    if _is_split(path.name) and not any(splits_in(file.name) for file in files):
        return files
    chosen = [file for file in files if file.name.startswith(split)]
    chosen = chosen or [file for file in files if splits_in(file.name) == (split,)]
    if not chosen:
        raise _nothing(path, files, split)
    return chosen


def _nothing(path: Path, files: list[Path], split: str) -> DataError:
    held = ", ".join(file.name for file in files[:5]) or "no Parquet files"
    return DataError(
        f"{path}: holds no Parquet files whose names begin with {split!r} (it holds {held}); "
        "name a file, or several by a pattern"
    )


def _parquet_in(path: Path) -> list[Path]:
    found = sorted(file for file in path.glob("*.parquet") if not is_hidden(file.name))
    for file in found:
        if not file.exists():
            raise DataError(f"{file}: is a link to nothing; fetch the file again")
    return [file for file in found if file.is_file()]


def _folders_in(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if not is_hidden(folder.name) and folder.is_dir())


def _has_parquet(path: Path, depth: int) -> bool:
    if _parquet_in(path):
        return True
    return depth < _DEEPEST and any(_has_parquet(folder, depth + 1) for folder in _folders_in(path))


def _missing_shards(files: Sequence[Path]) -> list[str]:
    """Return the shards that are missing among files called "00000-of-00003", or just "0000".

    Raises:
        DataError: A shard is there twice, or shards of two numberings are mixed.
    """
    groups: dict[tuple[str, str], dict[int, tuple[Path, str]]] = {}
    for file in files:
        match = _SHARD.fullmatch(file.name.removesuffix(".parquet"))
        base, number, count = match.group("base", "number", "count") if match else _plain_shard(file)
        if number is None:
            continue
        others = [found for (other, total), found in groups.items() if other == base and total != count]
        held = groups.setdefault((base, count), {})
        if others or int(number) in held:
            twin = next(iter(others[0].values())) if others else held[int(number)]
            raise DataError(f"{file}: is of another version of the split than {twin[0].name}; keep one of the two")
        held[int(number)] = (file, number)
    missing: list[str] = []
    for (base, count), held in groups.items():
        width = len(next(iter(held.values()))[1])
        if not count and not held[min(held)][1].startswith("0"):
            continue  # names such as 2019 and 2021 do not count files
        first = 0 if 0 in held or not count else int(int(count) in held)
        last = first + int(count) if count else max(held) + 1
        texts = [f"{number:0{width}d}" for number in range(first, last) if number not in held]
        missing += [f"{base}-{text}-of-{count}" if count else text for text in texts]
    return missing


def _plain_shard(file: Path) -> tuple[str, str | None, str]:
    return (str(file.parent), file.stem, "") if file.stem.isdecimal() else ("", None, "")


def _more(missing: Sequence[str]) -> str:
    return f" and {len(missing) - 1} more" if len(missing) > 1 else ""


def _refuse_copies(files: Sequence[Path]) -> None:
    """Refuse a data file that is given twice, under its own name, by a link, or as a copy.

    Raises:
        DataError: Two of the files hold the same bytes.
    """
    by_size: dict[int, list[Path]] = {}
    for file in files:
        try:
            by_size.setdefault(file.stat().st_size, []).append(file)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    for same in by_size.values():
        seen: dict[str, Path] = {}
        for file in same if len(same) > 1 else []:
            digest = file_sha256(file)
            if digest in seen:
                raise DataError(f"{file}: is a copy of {seen[digest]}; its images would be counted twice")
            seen[digest] = file
