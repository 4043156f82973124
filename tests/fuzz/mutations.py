"""Files that are nearly right: changed bytes, and valid files in which one thing is wrong.

Everything is drawn from one `random.Random`, so that the number of an input is enough to make it again.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

Mutation = Callable[[bytes, Random], bytes]

DEEP, LONG, DOUBLED = "@DEEP@", "@LONG@", "@DOUBLED@"
"""Stand in a tree for what its writer could not write: lists in lists, a number of 5,000 digits, a key given twice."""
WRONG: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf")),
    *(2**31, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, LONG, DEEP),
    *("", " ", "\n", "a\nb", "\x00", "\x1b[31m", "\u2028", "é", "\U0001f600", "=1+1", "../../x", "/", "CON", "nan"),
    *("x" * 3000, "1" * 400, "-1", "1e400", "[0]", "{}", "None", "%s", "{0}", "$x_1 & 100%", "C:\\x"),
    *([], {}, [[]], [None], [1, "a"], {"": 0}, {"a": {"b": {}}}, [0] * 1000, [{}], ["a", "a"]),
]
SURROGATE = "\ud800"


def changed_bytes(content: bytes, choice: Random) -> bytes:
    """Flip, cut, delete, repeat, insert or overwrite bytes at one to three places."""
    for _ in range(choice.choice([1, 1, 1, 2, 3])):
        place, size = choice.randrange(len(content) + 1), choice.choice([1, 1, 2, 4, 8, 64])
        some = choice.choice([choice.randbytes(size), b"\x00" * size, b"\xff" * size, content[place : place + size]])
        match choice.choice(["flip", "cut", "delete", "repeat", "insert", "overwrite", "front"]):
            case "flip":
                flipped = bytes(byte ^ 1 << choice.randrange(8) for byte in content[place : place + 1])
                content = content[:place] + flipped + content[place + 1 :]
            case "cut":
                content = content[:place]
            case "delete":
                content = content[:place] + content[place + size :]
            case "repeat":
                content = content[:place] + content[place : place + size] * choice.choice([2, 3, 100]) + content[place:]
            case "insert":
                content = content[:place] + some + content[place:]
            case "overwrite":
                content = content[:place] + some + content[place + len(some) :]
            case _:
                content = content[place:]
    return content


def spliced(content: bytes, other: bytes, choice: Random) -> bytes:
    """Return the beginning of one file and the end of another."""
    return content[: choice.randrange(len(content) + 1)] + other[choice.randrange(len(other) + 1) :]


# --- Trees: JSON and TOML --------------------------------------------------------------------------------------------


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a tree."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inside for place in _places(value, (*path, key)))]


def one_wrong(tree: Any, choice: Random, *, surrogates: bool = True) -> Any:
    """Return a tree with one value replaced, removed, renamed, doubled or moved."""
    tree = json.loads(json.dumps(tree))  # a copy, without tuples
    # Shallow places are as likely as the many deep ones.
    depth = choice.choice(sorted({len(place) for place in _places(tree)}))
    place = choice.choice([place for place in _places(tree) if len(place) == depth])
    wrong = choice.choice([*WRONG, SURROGATE] if surrogates else WRONG)
    if not place:
        return choice.choice([wrong, [tree], {"": tree}, {**tree, "other": wrong} if isinstance(tree, dict) else wrong])
    holder = tree
    for key in place[:-1]:
        holder = holder[key]
    key, held = place[-1], holder[place[-1]]
    match choice.choice(["replace", "replace", "replace", "remove", "rename", "double", "swap", "similar"]):
        case "remove":
            del holder[key]
        case "rename" if isinstance(key, str):
            holder[choice.choice([key[:-1], key.upper(), f"{key}s", "", "é", "\x1b[2J", "a.b"])] = holder.pop(key)
        case "double" if isinstance(key, str):
            holder[DOUBLED + key] = choice.choice([wrong, held])
        case "double":
            holder.extend([held] * choice.choice([1, 3]))
        case "swap":
            other = choice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            holder[key], holder[other] = holder[other], held
        case "similar":
            holder[key] = _similar(held, choice)
        case _:
            holder[key] = wrong
    return tree


def _similar(value: Any, choice: Random) -> Any:
    """Return a value of the same type that is another, or the same one in another type."""
    if isinstance(value, bool):
        return choice.choice([not value, int(value), str(value)])
    if isinstance(value, int | float):
        return choice.choice([-value, value + 1, value * 1000, value * 10**9, float(value), str(value), [value]])
    if isinstance(value, str):
        return choice.choice([value.upper(), value * 2, value[:-1], f"{value}\n", f" {value}", f"../{value}", [value]])
    return choice.choice([[], {}, [value], str(value)])


def _written(text: str) -> bytes:
    """Put what stands for the unwritable into a text."""
    deep = 3000
    text = re.sub(rf'"{DOUBLED}(.*?)"', r'"\1"', text).replace(DOUBLED, "")
    text = text.replace(f'"{DEEP}"', "[" * deep + "]" * deep).replace(f'"{LONG}"', "9" * 5000)
    return text.encode("utf-8", "surrogatepass")


def json_wrong(content: bytes, choice: Random) -> bytes:
    """Return JSON in which one thing is wrong."""
    return _written(json.dumps(one_wrong(json.loads(content), choice), ensure_ascii=choice.random() < 0.5))


def toml_wrong(content: bytes, choice: Random) -> bytes:
    """Return TOML in which one thing is wrong."""
    import tomllib

    tree = one_wrong(tomllib.loads(content.decode()), choice, surrogates=False)
    try:
        return _written(tomli_w.dumps(_without_none(tree)))
    except (TypeError, ValueError, AttributeError):  # no table at the top, or a number of 400 digits
        return choice.choice([b"", b"\xff\xfe", b"a = 1\na = 2", b"a." * 3000 + b"b = 1", b"a = " + b"[" * 5000])


def _without_none(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return [_without_none(value) for value in tree if value is not None] if isinstance(tree, list) else tree


# --- Tables ----------------------------------------------------------------------------------------------------------


def csv_wrong(content: bytes, choice: Random) -> bytes:
    """Return CSV with one cell, line or heading wrong."""
    lines = content.decode().splitlines()
    number = choice.choice([0, choice.randrange(len(lines))])
    cells = lines[number].split(",")
    place = choice.randrange(len(cells))
    wrong = choice.choice(
        [str(one) for one in WRONG if not isinstance(one, list | dict)] + ['"', '""', "1e999", "True"]
    )
    match choice.choice(["cell", "cell", "cell", "remove", "double", "line", "lines"]):
        case "cell":
            cells[place] = "9" * 5000 if wrong == LONG else wrong
        case "remove":
            del cells[place]
        case "double":
            cells.insert(place, cells[place])
        case "line":
            cells = []
        case _:
            cells *= 3
    lines[number] = ",".join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def parquet_wrong(content: bytes, choice: Random) -> bytes:
    """Return Parquet with one column, cell, name or note in its metadata wrong."""
    table = pq.read_table(io.BytesIO(content))
    place = choice.randrange(table.num_columns)
    name, rows = table.column_names[place], table.num_rows
    match choice.choice(["type", "type", "cell", "cell", "cell", "remove", "rename", "double", "rows", "metadata"]):
        case "type":
            made = choice.choice(_COLUMNS)(rows)
            table = table.set_column(place, name, made)
        case "cell":
            table = table.set_column(place, name, _one_cell(table.column(place), choice))
        case "remove":
            table = table.remove_column(place)
        case "rename":
            names = list(table.column_names)
            names[place] = choice.choice(["", "key", name.upper(), "é", "a\nb", "x" * 3000, "\x1b[2J"])
            table = table.rename_columns(names)
        case "double":
            table = table.append_column(name, table.column(place))
        case "rows":
            table = table.slice(0, choice.choice([0, 1, rows // 2]))
        case _:
            metadata = dict(table.schema.metadata or {})
            wrong = choice.choice([b"", b"-1", b"99", b"\xff", b"{}", b"[" * 3000, b"null", b"1\n2", b"9" * 5000])
            table = table.replace_schema_metadata(dict.fromkeys(metadata, wrong) or {b"pandas": wrong})
    return _parquet(table, choice)


def _parquet(table: pa.Table, choice: Random) -> bytes:
    buffer = io.BytesIO()
    compression = choice.choice(["zstd", "snappy", "none", "gzip"])
    pq.write_table(
        table, buffer, compression=compression, row_group_size=choice.choice([None, 1 + table.num_rows // 2])
    )
    return buffer.getvalue()


_COLUMNS: list[Callable[[int], Any]] = [
    pa.nulls,
    lambda rows: pa.array([2**40] * rows, pa.int64()),
    lambda rows: pa.array([2**64 - 1] * rows, pa.uint64()),
    lambda rows: pa.array([float("nan")] * rows, pa.float64()),
    lambda rows: pa.array([1e300] * rows, pa.float64()),
    lambda rows: pa.array(["../../x"] * rows, pa.string()),
    lambda rows: pa.array([b"\xff\xfe"] * rows, pa.binary()),
    lambda rows: pa.array([[1, 2]] * rows, pa.list_(pa.int64())),
    lambda rows: pa.array([{"a": 1}] * rows, pa.struct([("a", pa.int64())])),
    lambda rows: pa.array([True] * rows, pa.bool_()),
    lambda rows: pa.array([0] * rows, pa.timestamp("us")),
    lambda rows: pa.array(["x"] * rows, pa.string()).dictionary_encode(),
]


def _one_cell(column: Any, choice: Random) -> Any:
    """Return a column with one cell wrong, of its own type where that holds it; else of none."""
    plain = column.combine_chunks()
    values = plain.to_pylist()
    kind = plain.type.value_type if pa.types.is_dictionary(plain.type) else plain.type
    for _ in range(20):
        wrong = choice.choice(
            [*WRONG, *(b"", b"\xff" * 9), {"bytes": b"", "path": None}, {"bytes": None, "path": "\n"}]
        )
        if values:
            values[choice.randrange(len(values))] = wrong
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            values = plain.to_pylist()
    return pa.nulls(len(values))


# --- Tensors and arrays ----------------------------------------------------------------------------------------------


def safetensors_wrong(content: bytes, choice: Random) -> bytes:
    """Return safetensors whose header has one thing wrong, its length stated rightly."""
    size = struct.unpack("<Q", content[:8])[0]
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    notes = header.get("__metadata__", {})
    inside = [key for key, text in notes.items() if text.startswith(("{", "["))]
    if inside and choice.random() < 0.5:  # texts of JSON in the notes
        key = choice.choice(inside)
        notes[key] = json_wrong(notes[key].encode(), choice).decode("utf-8", "replace")
    else:
        header = one_wrong(header, choice)
    text = _written(json.dumps(header))
    return struct.pack("<Q", choice.choice([len(text)] * 9 + [0, 2**40, 2**63])) + text + body


def npz_wrong(content: bytes, choice: Random) -> bytes:
    """Return an archive of arrays with one of them wrong."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        held = {name: archive[name] for name in archive.files}
    name = choice.choice([*held, *[name for name in held if name == "header"] * 3])
    if name == "header" and choice.random() < 0.8:
        text = json_wrong(held[name].tobytes(), choice)
        held[name] = np.frombuffer(text, dtype=np.uint8)
    elif choice.random() < 0.2:
        del held[name]
    else:
        held[name] = _other_array(held[name], choice)
    buffer = io.BytesIO()
    choice.choice([np.savez, np.savez_compressed])(buffer, allow_pickle=True, **held)
    return buffer.getvalue()


def _other_array(array: Any, choice: Random) -> Any:
    made: list[Callable[[], Any]] = [
        lambda: array.astype(choice.choice(["int64", "float64", "U3", "bool", "complex64", ">u2"])),
        lambda: array.reshape(-1),
        lambda: array[None],
        lambda: array[:0],
        lambda: array[:-1],
        lambda: np.array(None, dtype=object),
        lambda: np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]),
        lambda: np.array(3),
        lambda: np.zeros((0, 0, 0)),
    ]
    return choice.choice(made)()


_KINDS = ("'|O'", "'<U9'", "[]", "3", "'x'")


def npy_wrong(content: bytes, choice: Random) -> bytes:
    """Return an array's file with another header: shape, type, order, or length."""
    size = struct.unpack("<H", content[8:10])[0]
    header = content[10 : 10 + size].decode()
    change = choice.choice(
        [
            lambda text: re.sub(r"\((\d+)", lambda _: f"({choice.choice([0, -1, 2**31, 2**63, 10**30])}", text),
            lambda text: re.sub(r"'descr': '[^']*'", f"'descr': {choice.choice(_KINDS)}", text),
            lambda text: text.replace("False", choice.choice(["True", "None", "1/0", "[" * 100])),
            lambda text: text.replace("shape", choice.choice(["", "Shape", "shape': 1, 'b"])),
        ]
    )
    text = change(header).encode()
    return content[:8] + struct.pack("<H", len(text) % 2**16) + text + content[10 + size :]
