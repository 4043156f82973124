"""Listing the image files in folders: which of them count, in which order, and what is refused.

Nothing is left out without a word: what is hidden is passed over, links are followed, and what cannot be read is an
error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pcbench.data.names import no_such_place
from pcbench.data.splits import SPLIT_WORDS, is_split_name, split_twins, splits_in
from pcbench.errors import DataError

# What operating systems and storage servers leave beside files, without a dot before the name.
_SYSTEM_NAMES = frozenset(
    ("__macosx", "@eadir", "lost+found", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini")
)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is passed over: its name begins with a dot, or is one of the system's own."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


def class_folders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted as texts; hidden ones are passed over.

    Raises:
        DataError: There is no such folder, it holds none or a broken link, these are splits and not classes, or it
            holds nothing but the folder that holds the classes.
    """
    if path.is_file():
        raise DataError(f"{path}: is a file; give the folder that holds one folder per class; unpack an archive first")
    if not path.is_dir():
        raise no_such_place("imagefolder", path)
    names = [entry.name for entry in _entries(path) if _is_folder(entry)]
    if not names:
        raise DataError(
            f"{path}: holds no folders; images are expected in one folder per class"
            f"{_labelled_beside(path)}{_flat(path)}"
        )
    _refuse_splits(path, names)
    if len(names) == 1 and _is_wrapper(path / names[0]):
        raise DataError(
            f"{path}: holds one folder alone, {names[0]}, which holds folders itself and no images; if these are "
            f"the classes, give {path / names[0]}"
        )
    return names


def is_flat(path: Path) -> bool:
    """Return whether a folder holds image files and no folders."""
    return path.is_dir() and not _holds_folders(path) and bool(loose_images(path))


def is_without_images(path: Path) -> bool:
    """Return whether a folder holds neither folders nor image files."""
    return path.is_dir() and not _holds_folders(path) and not loose_images(path)


def list_flat(path: Path) -> tuple[str, ...]:
    """List the image files of a folder without folders, in sorted order.

    Raises:
        DataError: A file is of no image format, or a link is broken.
    """
    names = tuple(entry.name for entry in _entries(path) if not _is_folder(entry))
    for name in names:
        _refuse_other_file(path / name)
    return names


def loose_images(path: Path) -> list[str]:
    """Return the names of the image files that lie in a folder itself, beside the folders of classes."""
    return [entry.name for entry in _entries(path) if not _is_folder(entry) and _is_image(entry.name)]


def list_images(root: Path, classes: list[str]) -> tuple[tuple[str, ...], list[int]]:
    """List the image files of class folders, in sorted order.

    Returns:
        The files' paths below `root` with forward slashes, and for each the index of its class in `classes`.

    Raises:
        DataError: A class holds no images, a file is of no image format, a link is broken, a folder is found twice
            (by a link, or a loop of links), or a folder or file cannot be read.
    """
    names: list[str] = []
    indices: list[int] = []
    seen: dict[tuple[int, int], str] = {}
    for index, name in enumerate(classes):
        files = list(_files_below(root, name, seen))
        for file in files:
            _refuse_other_file(root / file)
        if not files:
            raise DataError(f"{root / name}: holds no images")
        names += files
        indices += [index] * len(files)
    return tuple(names), indices


def _files_below(root: Path, below: str, seen: dict[tuple[int, int], str]) -> Iterator[str]:
    """Yield the files of a folder, then those of its folders, each sorted."""
    path = root / below
    status = path.stat()
    identity = (status.st_dev, status.st_ino)
    # Some file systems number nothing.
    if status.st_ino and identity in seen:
        raise DataError(
            f"{path}: is the same folder as {root / seen[identity]}, by a link; its images would be counted twice"
        )
    seen[identity] = below
    folders: list[str] = []
    for entry in _entries(path):
        if _is_folder(entry):
            if is_split_name(entry.name):
                raise DataError(
                    f"{path / entry.name}: is a split inside a class; give a folder that holds the images of one split"
                )
            folders.append(f"{below}/{entry.name}")
        else:
            yield f"{below}/{entry.name}"
    for folder in folders:
        yield from _files_below(root, folder, seen)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder and is not hidden, sorted by name."""
    try:
        with os.scandir(path) as found:
            entries = sorted((entry for entry in found if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for entry in entries:
        if not entry.name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            shown = entry.name.encode(errors="backslashreplace").decode()
            raise DataError(
                f"{path}: the name {shown!r} is not written in UTF-8; rename it, names become ids of images"
            )
    return entries


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, following links; refuse what is neither a folder nor a file."""
    try:
        if entry.is_dir():
            return True
        if entry.is_file():
            return False
    except OSError as error:
        raise DataError(f"{entry.path}: cannot be read ({error.strerror})") from error
    what = "is a link to nothing; mend or delete it" if entry.is_symlink() else "is neither a file nor a folder"
    raise DataError(f"{entry.path}: {what}")


def _is_image(name: str) -> bool:
    # Path is slow for millions of names.
    return os.path.splitext(name)[1].lower() in Image.registered_extensions()  # noqa: PTH122


def _refuse_other_file(path: Path) -> None:
    if not _is_image(path.name):
        raise DataError(f"{path}: is not an image file; move it out of the folder of images")


def _refuse_splits(path: Path, names: list[str]) -> None:
    """Refuse folders of splits, which hold classes and are none.

    A folder named as a split that holds images itself, beside others, is a class: CIFAR-100 has the class "train".
    """
    only_splits = all(map(is_split_name, names))
    splits = [name for name in names if is_split_name(name) and (only_splits or _holds_folders(path / name))]
    splits = splits or [name for name in split_twins(names) if _holds_folders(path / name)]
    if not splits:
        return
    held = {split: name for name in splits for split in splits_in(name)}
    chosen = next((held[split] for split in ("test", "validation") if split in held), None)
    remedy = f"give one of them, such as {path / chosen}" if chosen else "give a folder that holds test images"
    raise DataError(f"{path}: {', '.join(splits)}: the folder of a split is not a class; {remedy}")


def _is_wrapper(path: Path) -> bool:
    """Return whether a folder that lies alone in another holds folders, perhaps of classes, and no images."""
    inside = [entry.name for entry in _entries(path) if _is_folder(entry)]
    return bool(inside) and not any(map(is_split_name, inside)) and not loose_images(path)


def _holds_folders(path: Path) -> bool:
    return any(_is_folder(entry) for entry in _entries(path))


def _flat(path: Path) -> str:
    return "; pcbench extract needs no labels" if loose_images(path) else ""


def _labelled_beside(path: Path) -> str:
    """Return which split beside a folder of images without classes has them, in words; empty where none has."""
    if not splits_in(path.name):
        return ""
    words = {word for split in ("validation", "test") for word in SPLIT_WORDS[split]}
    beside = [entry for entry in _entries(path.parent) if entry.name.casefold() in words and entry.name != path.name]
    labelled = [entry.path for entry in beside if _is_folder(entry) and _holds_folders(Path(entry.path))]
    return f"; this split has no labels, {labelled[0]} beside it has" if labelled else ""
