"""What escaped once, one small test each: the file is refused in one line that names it.

Oracle: the exception tree. The valid files are those of the fuzzers, in each of which one thing is wrong.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzz import definitions, pictures, saved, tables, tensors
from safetensors import safe_open
from safetensors.torch import save_file

from pcbench.errors import DataError, DefinitionError, PcbenchError, WeightsError, damage_refused
from pcbench.harness.configuration import _locations
from pcbench.results.metrics_table import read_metrics
from pcbench.results.parts import PartError
from pcbench.results.schema import read_table
from pcbench.results.shard import open_shard


def refused(read: Callable[[Path], object], folder: Path, file: str, kind: type[PcbenchError]) -> str:
    """Return the message of the refusal of a file in a folder."""
    with pytest.raises(kind) as told:
        read(folder)
    message = str(told.value)
    assert len(message.splitlines()) == 1
    assert str(folder / file) in message
    return message


def test_a_message_is_bounded_and_keeps_the_remedy() -> None:
    message = str(DataError("a.npz: holds " + "x" * 5000 + "; make it anew"))
    assert len(message) < 2000
    assert message.startswith("a.npz: holds x")
    assert message.endswith("; make it anew")


@pytest.mark.parametrize(
    "error", [KeyError("key"), ZeroDivisionError(), OverflowError(), RecursionError(), NotImplementedError("a\nb")]
)
def test_whatever_a_parser_raises_becomes_one_line(error: Exception) -> None:
    with pytest.raises(WeightsError) as told, damage_refused("a.npz", "is damaged", "fetch it", kind=WeightsError):
        raise error
    assert str(told.value).startswith(f"a.npz: is damaged ({type(error).__name__}")
    assert str(told.value).endswith("; fetch it")
    assert told.value.__cause__ is error


def test_settings_of_a_network_that_are_a_text(tmp_path: Path) -> None:
    definitions._suites(tmp_path / "given")
    path = tmp_path / "given" / "attacks" / "predify2021" / "suite.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    cut = next(number for number, line in enumerate(lines) if line.startswith("[network"))
    path.write_text("\n".join([*lines[:cut], 'network = "x"']), encoding="utf-8")
    refused(definitions._read_attacks, tmp_path / "given", "attacks/predify2021/suite.toml", DefinitionError)


def test_options_in_locations_that_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "locations.toml").write_text("options = 3\n", encoding="utf-8")
    refused(lambda folder: _locations(folder / "locations.toml"), tmp_path, "locations.toml", DataError)


def _change_part(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    first, header, rest = path.read_bytes().split(b"\n", 2)
    content = json.loads(header)
    change(content)
    body = json.dumps(content).encode() + b"\n" + rest
    path.write_bytes(first[:-64] + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


@pytest.mark.parametrize("change", [lambda header: header.pop("machine"), lambda header: header.update(files="x")])
def test_a_part_without_a_machine_or_with_a_text_of_files(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    saved._parts(tmp_path / "given")
    _change_part(tmp_path / "given" / "a.part", change)
    refused(saved._read_parts, tmp_path / "given", "a.part", PartError)


def _with_column(path: Path, name: str, values: Any) -> None:
    table = pq.read_table(path)
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, values), path)


def _strings(*cells: bytes) -> pa.Array:
    offsets = np.cumsum([0, *map(len, cells)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(cells))]
    return pa.Array.from_buffers(pa.string(), len(cells), buffers)


@pytest.mark.parametrize(
    "values",
    [
        _strings(*[b"\xff\xfe"] * tables.ROWS),
        pa.nulls(tables.ROWS, pa.string()),
        pa.array([[1]] * tables.ROWS),
        pa.array([0.5] * tables.ROWS),
    ],
    ids=["not UTF-8", "empty where it may not be", "lists", "numbers"],
)
def test_a_column_of_texts_that_holds_others(tmp_path: Path, values: pa.Array) -> None:
    tables._others(tmp_path / "given")
    _with_column(tmp_path / "given" / "evidence.parquet", "suite", values)
    refused(
        lambda folder: read_table(folder / "evidence.parquet", "evidence"), tmp_path / "given", "evidence", DataError
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())])], ids=["lists", "structs"])
@pytest.mark.parametrize("name", ["suite", "n"])
def test_metrics_with_a_column_of_lists_or_structs(tmp_path: Path, name: str, kind: pa.DataType) -> None:
    tables._metrics(tmp_path / "given")
    path = tmp_path / "given" / "metrics.parquet"
    _with_column(path, name, pa.nulls(pq.read_metadata(path).num_rows, kind).cast(kind))
    table = pq.read_table(path)
    one = [1] if pa.types.is_list(kind) else {"a": 1}
    _with_column(path, name, pa.array([one] * table.num_rows, kind))
    refused(lambda folder: read_metrics(folder / "metrics.parquet"), tmp_path / "given", "metrics.parquet", DataError)


@pytest.mark.parametrize(("cell", "column"), [("inf", "n"), ("9" * 400, "n"), ("x,y,z", "suite")])
def test_metrics_with_an_infinite_number_or_a_cell_too_many(tmp_path: Path, cell: str, column: str) -> None:
    tables._metrics(tmp_path / "given")
    path = tmp_path / "given" / "metrics.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index(column)] = cell
    lines[3] = ",".join(cells)
    path.write_text("\n".join(lines), encoding="utf-8")
    refused(lambda folder: read_metrics(folder / "metrics.csv"), tmp_path / "given", "metrics.csv", DataError)


def test_images_in_parquet_with_two_columns_of_labels(tmp_path: Path) -> None:
    tables._images(tmp_path / "given")
    path = next((tmp_path / "given").iterdir())
    table = pq.read_table(path)
    pq.write_table(table.append_column("label", table.column("label")), path)
    refused(tables._read_images, tmp_path / "given", path.name, DataError)


def test_a_reference_whose_packed_bytes_are_damaged(tmp_path: Path) -> None:
    tensors._references(tmp_path / "given")
    path = tmp_path / "given" / "user.npz"
    content = bytearray(path.read_bytes())
    content[80:120] = b"\xff" * 40
    path.write_bytes(bytes(content))
    refused(tensors._read_references, tmp_path / "given", "user.npz", DataError)


def test_a_checkpoint_whose_pickle_takes_from_an_empty_stack(tmp_path: Path) -> None:
    tensors._weights(tmp_path / "given")
    (tmp_path / "given" / "weights.pth").write_bytes(b"\x80\x02aaa.")
    refused(tensors._read_weights, tmp_path / "given", "weights.pth", WeightsError)


@pytest.mark.parametrize(
    ("note", "change"),
    [
        ("progress", lambda _: "text"),
        ("progress", lambda _: {"step": 1}),
        ("identity", lambda _: "text"),
        ("optimizer", lambda _: "text"),
        ("optimizer", lambda held: {**held, "plain": [1]}),
        ("optimizer", lambda held: {**held, "groups": []}),
    ],
)
def test_a_checkpoint_whose_notes_are_of_other_types(tmp_path: Path, note: str, change: Callable[[Any], Any]) -> None:
    tensors._checkpoints(tmp_path / "given")
    path = tmp_path / "given" / "checkpoint.safetensors"
    _change_notes(path, lambda notes: notes.update({note: json.dumps(change(json.loads(notes[note])))}))
    refused(tensors._read_checkpoints, tmp_path / "given", "checkpoint.safetensors", WeightsError)


@pytest.mark.parametrize("shape", ["(" + "9" * 30 + ", 8, 8, 3)", "(6, 8, 8, 3"], ids=["too large", "open bracket"])
def test_an_array_whose_header_claims_too_much_or_is_no_expression(tmp_path: Path, shape: str) -> None:
    tensors._arrays(tmp_path / "given")
    path = tmp_path / "given" / "fog.npy"
    content = path.read_bytes()
    size = struct.unpack("<H", content[8:10])[0]
    header = content[10 : 10 + size].replace(b"(6, 8, 8, 3)", shape.encode())
    path.write_bytes(content[:8] + struct.pack("<H", len(header)) + header + content[10 + size :])
    refused(tensors._read_arrays, tmp_path / "given", "fog.npy", DataError)


def test_a_run_whose_model_has_no_name(tmp_path: Path) -> None:
    saved._former_run(tmp_path / "given")
    path = tmp_path / "given" / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["spec"]["model"]["name"]
    path.write_text(json.dumps(content), encoding="utf-8")
    refused(saved._opened, tmp_path / "given", "manifest.json", DataError)


def test_a_suite_that_names_what_controls_a_terminal(tmp_path: Path) -> None:
    definitions._suites(tmp_path / "given")
    path = tmp_path / "given" / "corruptions" / "digits-c" / "suite.toml"
    lines = path.read_text(encoding="utf-8")
    path.write_text(lines.replace("order = [", 'order = ["\\u001b[31m", '), encoding="utf-8")
    with pytest.raises(DefinitionError) as told:
        definitions._read_corruptions(tmp_path / "given")
    assert str(told.value).isprintable()


def test_an_empty_image(tmp_path: Path) -> None:
    pictures._pictures(tmp_path / "given")
    (tmp_path / "given" / "class0" / "0.png").write_bytes(b"")
    refused(pictures._read_pictures, tmp_path / "given", "class0/0.png", DataError)


def _change_notes(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


@pytest.mark.parametrize(("note", "text"), [("ids", "[" * 5000), ("epsilons", '["a"]'), ("origin", "3")])
def test_adversarial_images_whose_notes_are_deep_or_of_other_types(tmp_path: Path, note: str, text: str) -> None:
    tensors._adversarials(tmp_path / "given")
    path = tmp_path / "given" / "adversarials" / "small" / "fgsm-t0.safetensors"
    _change_notes(path, lambda notes: notes.update({note: text}))
    refused(tensors._read_adversarials, tmp_path / "given", "adversarials/small/fgsm-t0.safetensors", DataError)


@pytest.mark.parametrize("index", [torch.zeros(0, 0), torch.full((4, 8), -1), torch.zeros(4, 8)])
def test_adversarial_images_whose_index_is_empty_negative_or_of_fractions(tmp_path: Path, index: torch.Tensor) -> None:
    tensors._adversarials(tmp_path / "given")
    path = tmp_path / "given" / "adversarials" / "small" / "fgsm-t0.safetensors"
    with safe_open(path, framework="pt") as opened:
        notes, held = opened.metadata(), {name: opened.get_tensor(name) for name in opened.offset_keys()}
    save_file({**held, "index": index}, path, notes)
    refused(tensors._read_adversarials, tmp_path / "given", "adversarials/small/fgsm-t0.safetensors", DataError)


@pytest.mark.parametrize(
    "change", [{"seconds": None}, {"seconds": ...}, {"started": ...}, {"waited_for_images": ...}], ids=str
)
def test_a_shard_that_does_not_say_when_it_ran(tmp_path: Path, change: dict[str, Any]) -> None:
    saved._former_run(tmp_path / "given")
    path = tmp_path / "given" / "shard.json"
    (tmp_path / "given" / "manifest.json").rename(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= {"shard": 1, "of": 2, "units": "x", "machines": {}, "waited_for_images": None, **change}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}), encoding="utf-8")
    assert "damaged" in refused(open_shard, tmp_path / "given", "shard.json", DataError)
