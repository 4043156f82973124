"""Oracle: files of a smooth picture, cut or changed at a known place; the whole file beside each must pass."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image, ImageFile

from pcbench.data.decoding import decode_image, verify
from pcbench.data.pixels import to_pixels
from pcbench.errors import DamagedImageError, DataError

ROWS, COLUMNS = np.mgrid[0:96, 0:128]
PIXELS = np.stack([ROWS * 2, COLUMNS, (ROWS * COLUMNS) % 251], axis=-1).astype(np.uint8)
PICTURE = Image.fromarray(PIXELS)
MOVED = Image.fromarray(np.roll(PIXELS, 40, axis=1))


def encoded(kind: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# The passes of an interlaced PNG: the first column and row of each, and the steps to the next ones.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png_of(data: bytes, header: bytes | None = None, palette: bytes | None = None) -> bytes:
    """Return a PNG whose chunks have right checksums around these compressed pixels."""
    chunks = [(b"IHDR", header or struct.pack(">IIBBBBB", 128, 96, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    if palette is not None:
        chunks.insert(1, (b"PLTE", palette))
    parts = [struct.pack(">I", len(body)) + kind + body for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part + struct.pack(">I", zlib.crc32(part[4:])) for part in parts)


WHOLE = {
    "JPEG": encoded("JPEG", quality=90),
    "progressive JPEG": encoded("JPEG", quality=90, progressive=True),
    "JPEG with restarts": encoded("JPEG", quality=90, restart_marker_blocks=8),
    "grey JPEG": encoded("JPEG", PICTURE.convert("L")),
    "CMYK JPEG": encoded("JPEG", PICTURE.convert("CMYK")),
    "PNG": encoded("PNG"),
    "animated PNG": encoded("PNG", save_all=True, append_images=[MOVED]),
    "GIF": encoded("GIF"),
    "animated GIF": encoded("GIF", save_all=True, append_images=[MOVED]),
    "WebP": encoded("WEBP"),
    "lossless WebP": encoded("WEBP", lossless=True),
    "animated WebP": encoded("WEBP", save_all=True, append_images=[MOVED]),
    "TIFF": encoded("TIFF"),
    "TIFF by LZW": encoded("TIFF", compression="tiff_lzw"),
    "BMP": encoded("BMP"),
    "JPEG 2000": encoded("JPEG2000"),
    "AVIF": encoded("AVIF"),
}


def refused(content: bytes) -> str:
    """Return the reason that both readers give, and see that it is one line that names the file."""
    reasons: set[str] = set()
    for read in (verify, decode_image):
        with pytest.raises(
            DamagedImageError, match=r"^broken: is (a damaged or truncated|not an) image file"
        ) as caught:
            read(content, "broken")
        reasons.add(str(caught.value))
    assert all("\n" not in reason for reason in reasons)
    return reasons.pop()


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_pass_and_every_cut_is_refused(name: str) -> None:
    content = WHOLE[name]
    facts = verify(content, "whole")
    assert (facts.width, facts.height, facts.animated) == (128, 96, name.startswith("animated"))
    for share in (0, 0.1, 0.4, 0.7, 0.9, 0.99):
        refused(content[: int(share * len(content))])
    if name not in ("TIFF", "TIFF by LZW", "BMP"):  # which may end in anything
        refused(content[:-1])


@pytest.mark.parametrize("name", [name for name in WHOLE if "JPEG" in name and "2000" not in name])
def test_scans_that_end_early_are_refused_although_the_file_ends_as_it_should(name: str) -> None:
    content = WHOLE[name]
    for share in (0.6, 0.9):
        cut = content[: int(share * len(content))].rstrip(b"\xff")
        assert "premature end" in refused(cut + b"\xff\xd9")
        refused(cut + bytes(len(content) - len(cut) - 2) + b"\xff\xd9")


def test_a_hole_in_a_jpeg_is_refused() -> None:
    for name in ("JPEG", "progressive JPEG", "JPEG with restarts"):
        content = WHOLE[name]
        middle = len(content) // 2
        assert "Corrupt JPEG data" in refused(content[:middle] + content[middle + 200 :])


def test_what_a_camera_leaves_beside_a_jpeg_is_no_damage() -> None:
    content = WHOLE["JPEG"]
    for other in (
        content + b"trailing words",
        content + bytes(64),
        content[:-2] + b"\x7f" + content[-2:],
        WHOLE["JPEG"][:2] + b"\xff\xfe\x00\x07words" + content[2:],
    ):
        verify(other, "photo.jpg")
        np.testing.assert_array_equal(np.asarray(decode_image(other, "a")), np.asarray(decode_image(content, "a")))
    for other in (bytes(64), b"\x01\x02\x03\x04" * 16):
        assert "extraneous" in refused(content[:-2] + other + content[-2:])


def test_a_png_whose_pixels_end_early_inside_right_checksums_is_refused() -> None:
    rows = b"".join(b"\x00" + row.tobytes() for row in PIXELS)
    whole = zlib.compress(rows)
    np.testing.assert_array_equal(np.asarray(decode_image(png_of(whole), "a")), PIXELS)
    for data in (whole[: len(whole) // 2], zlib.compress(rows[: len(rows) // 2]), whole[:-1] + b"?", b""):
        refused(png_of(data))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (13, 9), (128, 96)])
def test_the_rows_of_every_kind_of_png_are_counted(mode: str, interlaced: int, width: int, height: int) -> None:
    content = bytearray(encoded("PNG", PICTURE.resize((width, height)).convert(mode), bits=2 if mode == "P" else 8))
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)
    bits = content[24] * channels
    if interlaced:
        sizes = [(len(range(x, width, i)), len(range(y, height, j))) for x, y, i, j in ADAM7]
    else:
        sizes = [(width, height)]
    rows = [b"\x00" * (1 + (columns * bits + 7) // 8) for columns, count in sizes if columns for _ in range(count)]
    header = struct.pack(">IIBBBBB", width, height, content[24], content[25], 0, 0, interlaced)
    palette = b"\x00\x00\x00\xff\xff\xff" if mode == "P" else None
    verify(png_of(zlib.compress(b"".join(rows)), header, palette), "whole")
    refused(png_of(zlib.compress(b"".join(rows)[:-1]), header, palette))


def test_every_byte_of_a_png_is_watched() -> None:
    content = WHOLE["PNG"]
    for place in range(8, len(content), 97):
        refused(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])


def test_a_second_picture_that_ends_early_makes_a_file_truncated() -> None:
    for name in ("animated GIF", "animated PNG", "animated WebP"):
        refused(WHOLE[name][:-30])


def test_a_damaged_file_that_pillow_has_only_opened_is_refused_too() -> None:
    content = WHOLE["JPEG"]
    cut = content[: len(content) // 2] + b"\xff\xd9"
    with pytest.raises(DamagedImageError, match="item 3: is a damaged"):
        to_pixels(Image.open(io.BytesIO(cut)), "item 3")
    opened = Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(to_pixels(opened, "item 4"), np.asarray(decode_image(content, "a")))


@pytest.fixture
def lenient_pillow() -> Iterator[None]:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    yield
    ImageFile.LOAD_TRUNCATED_IMAGES = False


@pytest.mark.usefixtures("lenient_pillow")
@pytest.mark.parametrize("name", WHOLE)
def test_what_a_process_tells_pillow_changes_nothing(name: str) -> None:
    verify(WHOLE[name], "whole")
    refused(WHOLE[name][: len(WHOLE[name]) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, so its download failed"),
        (b"\n<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"<svg xmlns=''></svg>", "a drawing"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"%PDF-1.7", "a PDF"),
        (b"words", "of a kind that can be read"),
    ],
)
def test_other_files_are_called_what_they_are(content: bytes, what: str) -> None:
    assert what in refused(content)


def test_words_of_a_camera_that_cannot_be_read_change_nothing() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a long description of the picture"
    content = encoded("JPEG", exif=exif)
    place = content.index(b"Exif\x00\x00") + 14
    broken = content[:place] + b"\xff\x7f" + content[place + 2 :]  # more entries than there are
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verify(broken, "photo.jpg")
        np.testing.assert_array_equal(np.asarray(decode_image(broken, "a")), np.asarray(decode_image(content, "a")))


def passes(read: Callable[[], object]) -> bool:
    try:
        read()
    except DataError:
        return False
    return True


@pytest.mark.parametrize("name", WHOLE)
def test_what_a_plan_lets_pass_is_refused_when_the_run_decodes_it(name: str) -> None:
    """Oracle: decoding at once, with every look. A plan follows the structure alone and leaves decoding to the run."""
    content = WHOLE[name]
    damaged = [content[: len(content) * part // 8] for part in range(1, 8)]
    damaged += [content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :] for at in range(30, len(content), 211)]
    refused_at_once = [case for case in damaged if not passes(lambda case=case: verify(case, "at once"))]
    assert len(refused_at_once) > 2
    for case in refused_at_once:
        planned = passes(lambda case=case: verify(case, "plan", decode=False))
        assert not planned or not passes(lambda case=case: decode_image(case, "run", verified=True))
