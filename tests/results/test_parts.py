"""Oracle: a part as it was written; each file that differs from it anywhere is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pcbench.results.parts import Part, PartError, part_machine, read_part, write_part
from pcbench.results.schema import GROWTH, OUTCOMES

UNIT = "scores/fog-only/fog-3/00000"
FILES = {"adversarials.safetensors": bytes(range(256)) * 3, "empty": b"", "lines": b"\n\n{}\n"}
Damage = Callable[[bytes], bytes]


@pytest.fixture
def part(outcomes: pa.Table) -> Part:
    """A table with three files that belong to it."""
    return Part(outcomes, "x86_64 Maker AVX2", FILES)


@pytest.fixture
def path(tmp_path: Path, part: Part) -> Path:
    """Its file."""
    write_part(tmp_path / "00000.part", part, key="abc", unit=UNIT)
    return tmp_path / "00000.part"


def refused(path: Path, key: str = "abc", unit: str = UNIT) -> str:
    with pytest.raises(PartError) as error:
        read_part(path, key=key, unit=unit)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_table_and_files_travel_together(path: Path, part: Part) -> None:
    found = read_part(path, key="abc", unit=UNIT, schema=OUTCOMES)
    assert found.table.equals(part.table)
    assert found.table.schema.metadata == part.table.schema.metadata
    assert dict(found.files) == FILES
    assert list(found.files) == list(FILES)
    assert found.machine == part_machine(path) == "x86_64 Maker AVX2"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_same_part_makes_the_same_bytes(path: Path, part: Part) -> None:
    write_part(path.with_name("again.part"), part, key="abc", unit=UNIT)
    assert path.with_name("again.part").read_bytes() == path.read_bytes()


def test_a_part_without_files_or_rows_is_one(tmp_path: Path) -> None:
    write_part(tmp_path / "x.part", Part(OUTCOMES.empty_table(), "m"), key="abc", unit=UNIT)
    found = read_part(tmp_path / "x.part", key="abc", unit=UNIT, schema=OUTCOMES)
    assert (found.table.num_rows, dict(found.files)) == (0, {})


def test_a_part_that_was_cut_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in [*range(1, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        assert "is cut or changed" in refused(path)
    path.write_bytes(b"")
    assert "is empty" in refused(path)


def test_a_part_in_which_a_bit_is_flipped_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for place in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        assert "is cut or changed" in refused(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content + b"\n",
        lambda content: b"\n" + content,
        lambda content: content * 2,
        lambda content: bytes(len(content)),
        lambda content: content[:200] + content[201:],
        lambda content: content.replace(b"part 1", b"part 2", 1),
    ],
)
def test_a_part_that_grew_or_is_of_a_version_to_come_is_refused(path: Path, damage: Damage) -> None:
    path.write_bytes(damage(path.read_bytes()))
    assert "is cut or changed" in refused(path)
    with pytest.raises(PartError, match="is cut or changed"):
        part_machine(path)


def test_a_part_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.part")
    (tmp_path / "folder.part").mkdir()
    assert "cannot be read" in refused(tmp_path / "folder.part")


def test_a_part_of_another_run_or_unit_is_refused(path: Path) -> None:
    assert "is a part of another run (key abc, not abd)" in refused(path, key="abd")
    assert f"is the part of another unit ({UNIT}, not scores/x)" in refused(path, unit="scores/x")


def test_a_part_of_another_kind_of_table_is_refused(path: Path) -> None:
    with pytest.raises(PartError, match="cannot be read"):
        read_part(path, key="abc", unit=UNIT, schema=GROWTH)


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"key": "abc", "unit": "%s"}' % UNIT.encode(), b"\xff"])
def test_a_part_whose_checksum_fits_but_says_nothing_is_refused(path: Path, header: bytes) -> None:
    import hashlib

    body = header + b"\nrest"
    path.write_bytes(f"pcbench part 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body)
    refused(path)


def test_a_part_tells_its_run_to_a_reader_without_pcbench(path: Path) -> None:
    lines = path.read_bytes().split(b"\n", 2)
    assert lines[0].startswith(b"pcbench part 1 ")
    header = json.loads(lines[1])
    assert (header["key"], header["unit"]) == ("abc", UNIT)
    assert lines[2][:4] == b"PAR1"
