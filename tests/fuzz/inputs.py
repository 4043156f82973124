"""What people may give to the entry points: right, nearly right and wrong, in every container, type and spelling."""

from __future__ import annotations

import collections
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset


class OwnError(Exception):
    """What objects of the user's own raise."""


def raising(*names: str, kind: type = object) -> Any:
    """Return an object that raises an exception of the user's own when it is asked for any of these."""

    def fail(*_: object) -> Any:
        raise OwnError("of the user's own")

    special = {name: fail if name.startswith("__") else property(fail) for name in names}
    return type("Raising", (kind,), special)()


FAILING = [
    *(raising("__array__"), raising("__iter__"), raising("__getattr__"), raising("__fspath__")),
    *(raising("__len__", "__getitem__"), raising("__iter__", "__getitem__", "__len__", kind=list), raising("shape")),
    *(raising("__index__", "__float__"), raising("item", "shape"), raising("images", "labels"), raising("ndim")),
]

# Objects that no argument is meant to be.
JUNK: list[Any] = [
    *(None, True, False, 0, -1, 10**30, 0.5, -0.0, float("nan"), float("inf"), 1j, "", "cat", "8/255", b"bytes"),
    *((), [], {}, set(), object(), int, len, range(3), Path("somewhere"), Fraction(1, 3), Decimal("0.1"), Ellipsis),
    *(np.float32(0.5), np.array(3), np.array([]), np.array(["a", "b"]), np.zeros((2, 2), dtype=object)),
    *FAILING,
    *(torch.tensor(2), torch.tensor([]), torch.tensor(True), nn.ReLU(), [[1, 2], [3]], {"images": None, "labels": 3}),
]
IMAGE_TYPES = (
    "uint8",
    "int64",
    "uint16",
    "int8",
    "bool",
    "float16",
    "float32",
    "float64",
    "complex64",
    ">f4",
    "object",
)
LABEL_TYPES = ("int64", "int8", "uint64", "float32", "bool", "object", "U3", ">i4")
SHAPES = ((8, 8, 3), (3, 8, 8), (9, 12, 3), (8, 8), (1, 8, 8), (8, 8, 1), (8, 8, 4), (3, 8, 3), (0, 8, 3), (192,), ())
SCALES: dict[str, Callable[[Any], Any]] = {
    "unit": lambda x: x,
    "levels": lambda x: x * 255,
    "centred": lambda x: x * 2 - 1,
    "normalised": lambda x: (x - 0.45) / 0.225,
    "tiny": lambda x: x / 255,
    "nan": lambda x: x * np.nan,
}


def junk() -> st.SearchStrategy[Any]:
    """Any object that no argument is meant to be."""
    return st.sampled_from(JUNK)


def whole_numbers() -> st.SearchStrategy[Any]:
    """Numbers in the spellings that people use for whole numbers, and some that are none."""
    spellings: list[Callable[[int], Any]] = [
        *(int, float, str, bool, np.int64, np.uint8, np.float64, np.array, torch.tensor, Fraction, Decimal),
        lambda number: [number],
        lambda number: f"{number}.0",
    ]
    spelled = st.builds(lambda number, spell: spell(number), st.integers(0, 6), st.sampled_from(spellings))
    return st.one_of(spelled, st.integers(-3, 300), st.floats(), junk())


def budgets() -> st.SearchStrategy[Any]:
    """Lists of ε, and what people write for them."""
    one = st.sampled_from(
        [8 / 255, "8/255", "0.03", 8, 0, 1, "1", np.float32(0.1), Fraction(8, 255), torch.tensor(0.1)]
    )
    several = st.lists(st.one_of(one, junk()), max_size=3)
    wholes = st.sampled_from(
        [np.arange(3) / 255, torch.arange(2) / 255, pd.Series([0.1, 0.2]), range(2), "1/255,8/255"]
    )
    return st.one_of(one, st.lists(one, min_size=1, max_size=3), several, wholes, junk())


@st.composite
def arrays(draw: st.DrawFn, count: int | None) -> Any:
    """An array of `count` images; of one without its axis where `count` is None."""
    shape = draw(st.one_of(st.sampled_from(SHAPES[:2]), st.sampled_from(SHAPES)))
    whole = shape if count is None else (count, *shape)
    values = np.random.default_rng(draw(st.integers(0, 3))).random(whole)
    if draw(st.booleans()):
        return (values * 255).astype(np.uint8) if draw(st.booleans()) else values.astype(np.float32)
    scaled = SCALES[draw(st.sampled_from(list(SCALES)))](values)
    with np.errstate(all="ignore"):
        array: Any = np.asarray(scaled).astype(draw(st.sampled_from(IMAGE_TYPES)))
    return draw(st.sampled_from([lambda x: x, lambda x: x[..., ::-1] if x.ndim else x, np.asfortranarray]))(array)


def as_tensor(array: Any, kind: str) -> Any:
    """Return an array as a tensor in one of the states that tensors are found in; as it is where torch has none."""
    if not isinstance(array, np.ndarray) or array.dtype == object or not array.dtype.isnative:
        return array
    changes: dict[str, Callable[[Tensor], Any]] = {
        "plain": lambda x: x,
        "bfloat16": lambda x: x.to(torch.bfloat16),
        "half": lambda x: x.half(),
        "gradient": lambda x: x.requires_grad_() if x.is_floating_point() else x,
        "sparse": lambda x: x.to_sparse(),
        "meta": lambda x: x.to("meta"),
        "nested": lambda x: torch.nested.nested_tensor(list(x)),
        "channels last": lambda x: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x,
        "expanded": lambda x: x[:1].expand(x.shape) if x.ndim else x,
    }
    try:
        return changes[kind](torch.tensor(array.copy()))
    except (TypeError, ValueError, NotImplementedError):
        return array


TENSORS = ("plain", "bfloat16", "half", "gradient", "sparse", "meta", "nested", "channels last", "expanded")


def _picture(array: Any, mode: str) -> Any:
    levels = np.abs(np.nan_to_num(np.asarray(array, dtype=np.float64).real, posinf=1)) * 255 % 256
    if levels.ndim != 3 or levels.shape[2] != 3 or 0 in levels.shape:
        return array
    return Image.fromarray(levels.astype(np.uint8)).convert(mode)


@st.composite
def images(draw: st.DrawFn, count: int) -> Any:
    """A collection of `count` images, or what may be taken for one."""
    forms = ["array", "tensor", "arrays", "tensors", "pictures", "tuple", "nested", "junk"]
    form = draw(st.one_of(st.sampled_from(forms[:6]), st.sampled_from(forms)))
    if form == "junk":
        return draw(junk())
    if form in ("array", "tensor"):
        array = draw(arrays(count))
        return array if form == "array" else as_tensor(array, draw(st.sampled_from(TENSORS)))
    alike = draw(st.booleans())
    each = list(draw(arrays(count))) if alike else [draw(arrays(None)) for _ in range(count)]
    if form == "tensors":
        kind = draw(st.sampled_from(TENSORS))
        each = [as_tensor(one, kind) for one in each]
    if form == "pictures":
        mode = draw(st.sampled_from(["RGB", "L", "P", "RGBA", "CMYK", "I", "F", "1", "LA"]))
        each = [_picture(one, mode) for one in each]
    if form == "nested":
        each = [one.tolist() if hasattr(one, "tolist") else one for one in each]
    return tuple(each) if form == "tuple" else each


@st.composite
def labels(draw: st.DrawFn, count: int) -> Any:
    """Labels of `count` images, or what may be taken for them."""
    held = draw(st.lists(st.integers(-1, 4), min_size=count, max_size=count))
    array: Any = np.array(held, dtype=int)
    kind = draw(st.sampled_from(LABEL_TYPES))
    with np.errstate(all="ignore"):
        typed = array.astype(kind)
    forms: list[Callable[[], Any]] = [
        lambda: array % 3,
        (array % 3).tolist,
        lambda: torch.tensor(array % 3),
        lambda: typed,
        lambda: typed[:, None],
        lambda: as_tensor(typed, "plain"),
        lambda: np.eye(5)[array],
        lambda: typed[:-1],
        lambda: [*held, 0],
        lambda: pd.Series(held),
        lambda: tuple(map(np.int16, held)),
        lambda: [torch.tensor(one) for one in held],
        lambda: [*held[:-1], None],
        lambda: [*held[:-1], float("nan")],
        held.__iter__,
        lambda: dict(enumerate(held)),
        lambda: np.ma.masked_equal(array, 1),
    ]
    right = forms[:3]
    return draw(st.one_of(*(st.sampled_from(some).map(lambda form: form()) for some in (right, right, forms)), junk()))


class Items:
    """A data set of nothing but items and a length, which may fail, change or lie."""

    def __init__(self, images: Any, labels: Any, manner: str) -> None:
        self.images_held, self.labels_held, self.manner, self.asked = images, labels, manner, 0

    def __len__(self) -> int:
        if self.manner == "no length":
            raise NotImplementedError
        return len(self.images_held) + (self.manner == "longer")

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        image, label = self.images_held[index], self.labels_held[index]
        answers: dict[str, Callable[[], Any]] = {
            "table": lambda: {"image": image, "label": label},
            "other keys": lambda: {"a": image, "b": label},
            "three": lambda: (image, label, index),
            "image alone": lambda: image,
            "fails later": lambda: (image, label) if index == 0 else [][index],
            "changes": lambda: (image, label if self.asked % 3 else 0),
            "named": lambda: collections.namedtuple("Pair", "image label")(image, label),
        }
        return answers.get(self.manner, lambda: (image, label))()


class Streamed(IterableDataset[Any]):
    """An iterable data set."""

    def __init__(self, pairs: list[Any]) -> None:
        self.pairs = pairs

    def __iter__(self) -> Any:
        return iter(self.pairs)


MANNERS = (
    "plain",
    "table",
    "other keys",
    "three",
    "image alone",
    "fails later",
    "changes",
    "named",
    "longer",
    "no length",
)
CONTAINERS = (
    *("pair", "pair", "list", "dict", "other dict", "prefixed dict", "object", "frame", "items", "pairs", "tensors"),
    *("loader", "subset", "stream", "counted stream", "streamed", "nested", "images alone", "junk"),
)


@st.composite
def data_sets(draw: st.DrawFn) -> Any:
    """Something that people give as `data=`."""
    count = draw(st.integers(0, 5))
    x, y = draw(images(count)), draw(labels(count))
    manner, number = draw(st.sampled_from(MANNERS)), draw(st.integers(-1, 7))
    batch, flag = draw(st.integers(1, 4)), draw(st.booleans())

    def pairs() -> list[Any]:
        return list(zip(x, y, strict=False))

    def tensors() -> Any:
        return TensorDataset(torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y)))

    made: dict[str, Callable[[], Any]] = {
        "pair": lambda: (x, y),
        "list": lambda: [x, y],
        "dict": lambda: {
            "images": x,
            "labels": y,
            "class_names": draw(st.sampled_from([["a", "b", "c"], "abc", 3, None])),
        },
        "other dict": lambda: {"x": x, "target": y},
        "prefixed dict": lambda: {"train": (x, y), "test": (x, y)},
        "object": lambda: SimpleNamespace(images=x, labels=y, ids=draw(st.one_of(st.none(), labels(count)))),
        "frame": lambda: pd.DataFrame({"image": list(x), "label": list(y)}),
        "items": lambda: Items(x, y, manner),
        "pairs": pairs,
        "tensors": tensors,
        "loader": lambda: DataLoader(tensors(), batch_size=batch, shuffle=flag, drop_last=number > 3),
        "subset": lambda: Subset(Items(x, y, manner), [0, number]),  # pyright: ignore[reportArgumentType]
        "stream": lambda: iter(pairs()),
        "counted stream": lambda: (iter(pairs()), number),
        "streamed": lambda: (DataLoader(Streamed(pairs()), batch_size=batch), number),
        "nested": lambda: ((x, y), (x, y)),
        "images alone": lambda: x,
        "junk": lambda: draw(junk()),
    }
    try:
        return made[draw(st.sampled_from(CONTAINERS))]()
    except (TypeError, ValueError, IndexError, RuntimeError, AssertionError, OwnError):
        return (x, y)  # these images and labels do not go into this container


def right_or_any_data_sets() -> st.SearchStrategy[Any]:
    """Data that can be measured, or anything."""
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    y = [0, 1, 2, 0]
    right: list[Callable[[], Any]] = [
        lambda: (x, y),
        lambda: {"images": x, "labels": y},
        lambda: list(zip(x, y, strict=True)),
        lambda: (iter(zip(x, y, strict=True)), 3),
        lambda: "digits",
    ]
    return st.one_of(st.sampled_from(right).map(lambda make: make()), data_sets())


class Grey(nn.Module):
    """Tells classes by the mean grey level."""

    def __init__(self, classes: int = 3, size: int | None = 8) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.linspace(0.1, 0.9, classes))
        self.dropout = nn.Dropout(0.5)
        if size is not None:
            self.input_size = (3, size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, classes)."""
        return self.dropout(-((x.mean((1, 2, 3))[:, None] - self.centres) ** 2))


class Odd(Grey):
    """Answers in an odd manner."""

    def __init__(self, manner: str) -> None:
        super().__init__()
        self.manner = manner

    def forward(self, x: Tensor) -> Any:
        """Return something else than logits."""
        logits = super().forward(x)
        answers: dict[str, Callable[[], Any]] = {
            "tuple": lambda: (logits, logits),
            "dict": lambda: {"logits": logits},
            "none": lambda: None,
            "vector": lambda: logits[:, 0],
            "timesteps": lambda: torch.stack([logits, logits]),
            "nan": lambda: logits * float("nan"),
            "whole": logits.long,
            "complex": lambda: logits.to(torch.complex64),
            "numpy": lambda: logits.detach().numpy(),
            "fails": lambda: x[99],
            "random": lambda: logits + torch.rand_like(logits),
        }
        return answers[self.manner]()


ODD = (
    "tuple",
    "dict",
    "none",
    "vector",
    "timesteps",
    "nan",
    "whole",
    "numpy",
    "fails",
    "random",
    "complex",
)
MODELS: dict[str, Callable[[], Any]] = {
    "grey": Grey,
    "evaluated": lambda: Grey().eval(),
    "no size": lambda: Grey(size=None),
    "other size": lambda: Grey(size=16),
    "half": lambda: Grey().half(),
    "bfloat16": lambda: Grey().bfloat16(),
    "double": lambda: Grey().double(),
    "parallel": lambda: nn.DataParallel(Grey()),
    "empty": nn.Sequential,
    "meta": lambda: Grey().to("meta"),
    "not its own": lambda: Grey,
    "two classes": lambda: Grey(2),
    **{manner: lambda manner=manner: Odd(manner) for manner in ODD},
}


def models() -> st.SearchStrategy[Any]:
    """Networks, most of them right; names of none."""
    right = st.just("grey").map(lambda name: MODELS[name]())
    return st.one_of(right, right, right, right, st.sampled_from(list(MODELS)).map(lambda name: MODELS[name]()), junk())
