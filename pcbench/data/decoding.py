"""Encoded image files: from bytes to a Pillow image, and whether the bytes are whole.

A file is taken or refused by rules of ours, in docs/reference/data.md: its format is one of those below, it has at most
8 bits per channel, its colours can be turned into RGB, and it has no more pixels than `MAX_PIXELS`, or than a file of
its size may have.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from PIL import Image, ImageFile

from pcbench.data.channels import is_grey
from pcbench.data.damage import examine
from pcbench.data.depth import stated_depth
from pcbench.errors import DamagedImageError, DataError
from pcbench.limits.bounds import allowed, check_size, memory_limit, remedy, size_text

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "QOI", "SGI", "PCX", "TGA")
"""The formats that are read, as Pillow calls them; the last has no signature and is tried last."""
MAX_PIXELS = 178_956_970
"""The most pixels that an image file may have, about 0.7 GB once decoded: Pillow's own limit, whatever its setting."""
_PIXEL_MEMORY = 12
"""The bytes of memory that a pixel takes while it is decoded, turned into RGB and copied."""
_PIXELS_PER_BYTE = 40
"""How many pixels of a large image a byte of its file may hold: photographs have fewer than ten."""
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"})
# What Pillow raises for bytes that are not an image, are cut short or are corrupt, depending on the format.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, RuntimeError, OverflowError),
    *(ZeroDivisionError, struct.error, Image.DecompressionBombError),
)
_WRONG_FILES = {
    b"<!doctype html": "a web page, so its download failed",
    b"<html": "a web page, so its download failed",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the files with `git lfs pull`",
    b"<svg": "a drawing (SVG)",
    b"<?xml": "XML",
    b"%pdf": "a PDF document",
    b"8bps": "a Photoshop document",
}
# Pillow's warnings of a TIFF whose tags lie beyond its end.
_DAMAGE_WARNINGS = ("Truncated File Read", "Tag data larger than file")
_REMEDY = "fetch it again or remove it; a run leaves it out with `skip_damaged`"
_STRICT = threading.Lock()


@dataclass(frozen=True)
class ImageFacts:
    """What was seen of an image file."""

    width: int
    """Columns of pixels."""
    height: int
    """Rows of pixels."""
    transparent: bool
    """Whether it has an alpha channel or a transparent colour."""
    animated: bool
    """Whether the file holds several pictures, beside a camera's own second ones in a JPEG."""
    grey: bool
    """Whether it is stored without colours."""


def decode_image(content: bytes, name: str, *, verified: bool = False) -> Image.Image:
    """Decode an image file completely.

    Args:
        content: The file's bytes: JPEG, PNG or another of `FORMATS`.
        name: What the image is called in error messages.
        verified: Whether `verify` has passed the same bytes already: looking at their structure takes time.

    Raises:
        DamagedImageError: The bytes are not an image, are cut short, or are damaged.
        DataError: The image has more than 8 bits per channel, too many pixels, or colours of another kind.
    """
    with _warnings_refused(name):
        image = _open(content, name)
        _refuse_bomb(content, image, name)
        if not verified:
            _refuse_damage(content, image, name)
        _load(image, name)
    return image


def header_size(content: bytes, name: str) -> tuple[int, int]:
    """Return width and height of an image file, from its header alone.

    Raises:
        DamagedImageError, DataError: As `decode_image`, as far as the header tells.
    """
    return _open(content, name).size


def verify(content: bytes, name: str, *, decode: bool = True) -> ImageFacts:
    """Refuse bytes that are not one whole image, or one that may not be measured.

    Args:
        content: The file's bytes.
        name: What the image is called in error messages.
        decode: Whether to decode what its structure alone does not prove to be whole. A plan leaves that to the run.

    Raises:
        DamagedImageError, DataError: As `decode_image`.
    """
    with _warnings_refused(name):
        image = _open(content, name)
        _refuse_bomb(content, image, name)
        width, height = image.size
        if not _refuse_damage(content, image, name) and decode:
            _load(image, name)
    animated = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    return ImageFacts(width, height, image.has_transparency_data, animated, is_grey(image))


def verify_opened(image: Image.Image, name: str) -> None:
    """Verify the file of an image that Pillow has opened and may not yet have decoded.

    Nobody can tell what a decoded one was: Pillow has scaled or cut its values already, and closed its file.

    Raises:
        DamagedImageError, DataError: As `verify`.
    """
    stream: IO[bytes] | None = getattr(image, "fp", None)
    if stream is None or getattr(stream, "closed", False) or image.format not in (*FORMATS, "MPO"):
        return
    try:
        position = stream.tell()
        stream.seek(0)
        content = stream.read()
        stream.seek(position)
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: its file cannot be read ({error})") from error
    verify(content, name)


def refuse_mode(image: Image.Image, name: str) -> None:
    """Refuse an image whose channels are not 8 bits of a kind that has one meaning in RGB.

    Raises:
        DataError: It is one.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(_too_deep(name, f"mode {image.mode}"))
    if image.mode not in _MODES:
        raise DataError(f"{name}: has colours of mode {image.mode}, which has no one form in RGB; save it as RGB")


def _open(content: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header of an image file, and refuse what may not be measured."""
    _refuse_depth(content, name)
    image = _opened(content, name)
    width, height = image.size
    most = max(MAX_PIXELS, memory_limit() // _PIXEL_MEMORY)
    if width * height > most:
        raise DataError(
            f"{name}: has {width}x{height} px, {width * height / 1e6:.0f} megapixels; at most {most / 1e6:.0f} are "
            f"read, so that memory is bounded: make it smaller, or {remedy()}"
        )
    refuse_mode(image, name)
    if image.format == "TIFF":
        _refuse_dark_palette(image, name)
    return image


def _refuse_bomb(content: bytes, image: ImageFile.ImageFile, name: str) -> None:
    """Refuse an image that takes much memory and is of a small file; no photograph is."""
    size, (width, height) = len(content), image.size
    what = f"has {width}x{height} px in a file of {size_text(size)}, which would take"
    check_size(name, what, width * height * _PIXEL_MEMORY, allowed(size, _PIXEL_MEMORY * _PIXELS_PER_BYTE))


def _refuse_depth(content: bytes, name: str) -> None:
    depth = stated_depth(content)
    if depth.bits > 8:
        raise DataError(_too_deep(name, f"{depth.bits} bits"))
    if depth.signed:
        raise DataError(f"{name}: has channels with a sign; save it as an 8-bit image without one")


def _refuse_dark_palette(image: Any, name: str) -> None:
    """Refuse a TIFF whose palette holds values of 8 bits where 16 are due: decoders make black of it, or scale it."""
    from PIL import TiffImagePlugin  # Pillow has imported it to open the image

    palette = image.tag_v2.get(TiffImagePlugin.COLORMAP, ())
    if image.mode == "P" and 0 < max(palette, default=0) < 256:
        raise DataError(f"{name}: has a palette of values below 256, where TIFF needs 16 bits; save it as RGB")


def _opened(content: bytes, name: str) -> ImageFile.ImageFile:
    """Open an image file by the first of `FORMATS` whose signature it has.

    Pillow's own `Image.open` also tries formats that have no rule here, and warns of images it then reads.
    """
    Image.init()
    for kind in FORMATS:
        if kind not in Image.OPEN:
            continue  # Pillow was built without it
        factory, accepts = Image.OPEN[kind]
        if accepts is not None and accepts(content[:16]) is not True:
            continue
        try:
            return factory(io.BytesIO(content), "")
        except _BROKEN as error:
            if accepts is not None:
                raise _damaged(name, error) from error
    raise DamagedImageError(f"{name}: is not an image file{_wrong_file(content)}; {_REMEDY}")


def _wrong_file(content: bytes) -> str:
    if not content:
        return ", it is empty"
    if content[4:8] == b"ftyp":
        return " that can be read, but one of the kind HEIC: save it as JPEG or PNG"
    start = content[:64].lstrip().lower()
    found = next((words for beginning, words in _WRONG_FILES.items() if start.startswith(beginning)), None)
    return f" of a kind that can be read ({', '.join(FORMATS)})" if found is None else f" but {found}"


@contextmanager
def _warnings_refused(name: str) -> Generator[None]:
    """Take those warnings of Pillow for damage that tell of it, and keep the others from the user.

    What it warns of in a JPEG's words about the camera changes no pixel. Python's warnings belong to the process, not
    to a thread, so other threads than the main one let them pass.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    damage = next((str(one.message) for one in told if str(one.message).startswith(_DAMAGE_WARNINGS)), None)
    if damage is not None:
        raise _damaged(name, damage)


def _refuse_damage(content: bytes, image: ImageFile.ImageFile, name: str) -> bool:
    """Refuse a file that is seen to be damaged; return whether all of it has been decoded for that."""
    found = examine(content, image.format or "")
    if found.damage is not None:
        raise _damaged(name, found.damage)
    return found.decoded


def _load(image: ImageFile.ImageFile, name: str) -> None:
    """Decode the pixels, and refuse a file that ends early whatever the process has told Pillow about such files."""
    try:
        if not ImageFile.LOAD_TRUNCATED_IMAGES:
            image.load()
            return
        with _STRICT:
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            try:
                image.load()
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = True
    except _BROKEN as error:
        raise _damaged(name, error) from error


def _damaged(name: str, why: object) -> DamagedImageError:
    return DamagedImageError(f"{name}: is a damaged or truncated image file ({why}); {_REMEDY}")


def _too_deep(name: str, what: str) -> str:
    return (
        f"{name}: has more than 8 bits per channel ({what}); save it as an 8-bit image, since how its brightness is to "
        "be scaled is for you to say"
    )
