"""Oracle: equality itself: attributes of a model that differ have different hashes, and equal ones the same."""

from __future__ import annotations

import functools
import pathlib
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import Normalize

from pcbench.network.identity import model_identity


class Net(nn.Module):
    """A network with any attributes."""

    shared: Any = 1

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        for name, value in attributes.items():
            setattr(self.inner, name, value)

    def twice(self, x: Tensor) -> Tensor:
        return 2 * x


def attributes(**values: Any) -> str:
    return model_identity(Net(**values)).attributes_sha256


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Settings:
    gain: float = 1.0
    more: dict[str, Any] = field(default_factory=dict[str, Any])


class Plain:
    def __init__(self, gain: float) -> None:
        self.gain = gain


def scaled(factor: float) -> Callable[[float], float]:
    return lambda x: factor * x


def looped(value: object) -> list[object]:
    one: list[object] = [value]
    one.append(one)
    return one


def hidden(bias: float) -> list[nn.Module]:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 1.0)
    nn.init.constant_(layer.bias, bias)
    return [layer]


# Within a line no two values are the same.
DIFFERENT: tuple[tuple[Any, ...], ...] = (
    (1, True, 1.0, -1.0, 0.0, -0.0, None, False, "1", b"1", 1 + 0j, complex(1, -0.0), float("nan"), ...),
    ((1, 2), [1, 2], {1, 2}, {1, 3}, {1: 2}, {2: 1}, [[1], 2], [[1, 2]], [1, [2]], torch.Size([1, 2]), range(1, 2)),
    ({"a": {"b": [1.0]}}, {"a": {"b": [1.5]}}, {"a": {"b": [1]}}, {"a": {"c": [1.0]}}, looped(1), looped(2)),
    (Settings(), Settings(2.0), Settings(more={"a": (1,)}), Settings(more={"a": (2,)}), Plain(1.0), Plain(2.0)),
    (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2), types.SimpleNamespace(b=1), Colour.RED, Colour.BLUE),
    (torch.float32, torch.float16, torch.device("cpu"), torch.device("meta"), pathlib.Path("/a/b"), pathlib.Path("c")),
    (torch.zeros(2), torch.zeros(2).double(), torch.zeros(1, 2), -torch.zeros(2), torch.ones(2), torch.zeros(0)),
    (torch.zeros(2).bfloat16(), torch.ones(2).bfloat16(), torch.eye(2), torch.eye(2).to_sparse(), torch.tensor(True)),
    (np.zeros(2), np.ones(2), np.zeros(2, np.int64), np.float32(1), np.float64(1)),
    (np.array([{1: 2}], dtype=object), np.array([{1: 3}], dtype=object)),
    (slice(0, 2), slice(0, 3), hidden(1.0), hidden(2.0), nn.ReLU, nn.GELU, object(), {}),
    (lambda x: x + 1, lambda x: x + 2, lambda x: x - 1, lambda x: torch.sin(x), lambda x: torch.cos(x)),  # noqa: PLW0108
    (lambda x, y=1: x + y, lambda x, y=2: x + y, lambda x, *, y=2: x + y),
    (lambda x: x in {1, 2}, lambda x: x in {1, 3}, lambda x: [y + 1 for y in x], lambda x: [y + 2 for y in x]),
    (scaled(1.0), scaled(2.0), functools.partial(scaled, 1.0), functools.partial(scaled, 2.0)),
    (functools.partial(max, key=scaled(1.0)), functools.partial(max, key=scaled(2.0)), functools.partial(min)),
    (functools.lru_cache(lambda x: x + 1), functools.lru_cache(lambda x: x + 2)),
    (torch.relu, torch.tanh, torch.Tensor.relu, torch.Tensor.tanh, np.sin, np.cos),
    (Plain(1.0).__eq__, Plain(1.0).__ne__, Plain(2.0).__ne__),
    (torch.ops.aten.relu.default, torch.ops.aten.tanh.default, Net(shared=1).twice, Net(shared=2).twice),
)


@pytest.mark.parametrize("values", DIFFERENT, ids=range(len(DIFFERENT)))
def test_values_that_differ_differ_in_the_hash(values: tuple[object, ...]) -> None:
    found = [attributes(value=value) for value in values]
    assert len(set(found)) == len(found)


SAME: tuple[tuple[Any, Any], ...] = (
    (pathlib.Path("/here/x"), pathlib.Path("/there/x")),
    ({"b", "a", "c"}, {"c", "b", "a"}),
    (torch.arange(6).reshape(2, 3).T, torch.arange(6).reshape(2, 3).T.contiguous()),
    (torch.ones(2), torch.ones(2).requires_grad_()),
    (object(), object()),
    ([scaled(1.0)], [scaled(1.0)]),
    (looped(1), looped(1)),
    (hidden(1.0), hidden(1.0)),
)


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_values_that_are_equal_are_equal_in_the_hash(one: object, other: object) -> None:
    assert attributes(value=one) == attributes(value=other)


def test_deep_values_count_and_what_is_too_deep_is_unreadable() -> None:
    def nested(value: int, depth: int) -> object:
        return [nested(value, depth - 1)] if depth else value

    assert attributes(value=nested(1, 20)) != attributes(value=nested(2, 20))
    assert model_identity(Net(value=nested(1, 20))).code_sha256 is not None
    assert model_identity(Net(value=nested(1, 70))).code_sha256 is None


class Slotted:
    __slots__ = ("__hidden", "limit")

    def __init__(self, limit: float, hidden: float = 0.0) -> None:
        self.limit = limit
        self.__hidden = hidden


class Named(dict[str, int]):
    """A dictionary whose values may be attributes as well."""


def test_attributes_in_slots_of_subclasses_and_of_installed_libraries_count() -> None:
    def named(limit: int) -> Named:
        made = Named(a=1)
        made.limit = limit  # type: ignore[attr-defined]
        return made

    for make in (Slotted, named, lambda limit: Slotted(0, limit), lambda limit: Normalize([0.5], [limit])):
        assert attributes(value=make(1)) == attributes(value=make(1))
        assert attributes(value=make(1)) != attributes(value=make(2))


def test_an_object_in_two_places_and_inside_itself_is_read_once() -> None:
    def made(limit: int) -> Slotted:
        one = Slotted(limit)
        one.limit = [one, {"limit": limit, "again": one}]  # type: ignore[assignment]
        return one

    assert attributes(value=made(1), other=made(1)) == attributes(value=made(1), other=made(1))
    assert attributes(value=made(1)) != attributes(value=made(2))


def test_the_order_of_a_set_does_not_count() -> None:
    words = [f"word {number}" for number in range(50)]
    shared = Slotted(1)
    one, other = ({(word, shared) for word in order} for order in (words, words[::-1]))
    assert attributes(value=one) == attributes(value=other)


def test_training_mode_weights_and_gradients_are_left_out() -> None:
    before = attributes()
    model = Net()
    model.eval().requires_grad_(requires_grad=False)
    nn.init.zeros_(model.inner.weight)
    assert model_identity(model).attributes_sha256 == before


def test_buffers_outside_the_state_dictionary_count() -> None:
    def with_buffer(value: float, *, persistent: bool) -> str:
        model = Net()
        model.inner.register_buffer("mean", torch.tensor([value]), persistent=persistent)
        return model_identity(model).attributes_sha256

    assert with_buffer(0.0, persistent=False) != with_buffer(1.0, persistent=False)
    assert with_buffer(0.0, persistent=True) == with_buffer(1.0, persistent=True)


def test_types_names_hooks_and_class_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    relu = model_identity(nn.Sequential(nn.ReLU())).attributes_sha256
    assert relu != model_identity(nn.Sequential(nn.Sigmoid())).attributes_sha256
    model = Net()
    model.inner.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    assert model_identity(model).attributes_sha256 != attributes()
    before = attributes()
    monkeypatch.setattr(Net, "shared", 2)
    assert attributes() != before


def test_layers_that_pytorch_does_not_see_may_hold_each_other() -> None:
    def pair(gain: float) -> list[nn.Module]:
        one, other = Net(), Net(gain=gain)
        one.others, other.others = [other], [one]
        nn.init.zeros_(one.inner.weight)
        nn.init.zeros_(other.inner.weight)
        nn.init.zeros_(one.inner.bias)
        nn.init.zeros_(other.inner.bias)
        return [one]

    assert attributes(value=pair(1.0)) == attributes(value=pair(1.0)) != attributes(value=pair(2.0))


def test_what_the_compiler_writes_on_a_model_is_left_out() -> None:
    assert attributes(_torchdynamo_wrapper_id=1) == attributes(_torchdynamo_wrapper_id=2)
