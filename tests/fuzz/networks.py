"""Backbones and configurations that people give to `predify`: right, odd and wrong ones."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from fuzz import inputs
from hypothesis import strategies as st
from torch import Tensor, nn

WIDTH, CLASSES = 4, 3


class Net(nn.Module):
    """Two convolutions and a linear layer, whose forward method may do odd things."""

    def __init__(self, manner: str = "plain") -> None:
        super().__init__()
        self.manner = manner
        self.first = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1), nn.ReLU(inplace=manner == "in place"))
        self.second = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.head = nn.Linear(WIDTH, CLASSES)
        self.unused = nn.Conv2d(3, 3, 1)
        self.kept: Any = None

    def forward(self, x: Tensor) -> Any:
        """Return logits, or what else the manner says."""
        low = self._low(x)
        high = self.second(low)
        logits = self.head(high.mean((2, 3)))
        return self._answer(logits, high)

    def _low(self, x: Tensor) -> Tensor:
        ways: dict[str, Callable[[], Tensor]] = {
            "changes its input": lambda: self.first(x.mul_(0.5)),
            "twice": lambda: self.first(x) + self.first(x),
            "branches": lambda: self.first(x) if x.sum() > 0 else self.first(-x),
            "not contiguous": lambda: self.first(x.permute(0, 1, 3, 2)).permute(0, 1, 3, 2),
            "views": lambda: self.first(x.view(x.shape[0], -1).view(x.shape)),
            "no gradient": lambda: self.first(x).detach(),
            "numpy": lambda: self.first(torch.from_numpy(x.detach().numpy() * 1)),
            "adds in place": lambda: self.first(x).add_(1).clamp_(0),
            "random": lambda: self.first(x + torch.rand_like(x)),
            "asks the size": lambda: self.first(x)[:, :, : x.shape[2] // 1],
        }
        return ways.get(self.manner, lambda: self.first(x))()

    def _answer(self, logits: Tensor, high: Tensor) -> Any:
        if self.manner == "keeps":
            self.kept = high
        if self.manner == "fails":
            raise inputs.OwnError("of the user's own")
        ways: dict[str, Callable[[], Any]] = {
            "tuple": lambda: (logits, high),
            "dict": lambda: {"logits": logits},
            "other dict": lambda: {"out": logits},
            "namespace": lambda: SimpleNamespace(logits=logits),
            "none": lambda: None,
            "number": lambda: logits.sum().item(),
            "vector": lambda: logits[:, 0],
            "map": lambda: high,
            "nan": lambda: logits * float("nan"),
            "whole": logits.long,
            "complex": lambda: logits.to(torch.complex64),
            "sparse": logits.to_sparse,
            "double": logits.double,
        }
        return ways.get(self.manner, lambda: logits)()


MANNERS = (
    *("plain", "in place", "changes its input", "twice", "branches", "not contiguous", "views", "no gradient", "numpy"),
    *("adds in place", "random", "asks the size", "keeps", "fails", "tuple", "dict", "other dict"),
    *("namespace", "none", "number", "vector", "map", "nan", "whole", "complex", "sparse", "double"),
)


def _hooked(hook: Callable[..., Any]) -> nn.Module:
    net = Net()
    net.second.register_forward_hook(hook)
    return net


def _tied() -> nn.Module:
    net = Net()
    net.second[0] = net.first[0] = nn.Conv2d(3, 3, 3, padding=1)
    net.second[1], net.head = nn.BatchNorm2d(3), nn.Linear(3, CLASSES)
    return net


def _same_weight() -> nn.Module:
    net = Net()
    other = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
    other.weight = nn.Parameter(torch.ones(WIDTH, WIDTH, 3, 3))
    net.second[0], net.unused.weight = other, other.weight
    return net


def _of_buffers() -> nn.Module:
    net = Net()
    for module in net.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, value.detach())
    return net


def _changed(change: Callable[[nn.Module], Any]) -> Callable[[], Any]:
    def made() -> Any:
        net = Net()
        changed = change(net)
        return changed if isinstance(changed, nn.Module) else net

    return made


def _fail(*_: Any) -> Any:
    raise inputs.OwnError("of the user's own")


def _with_item(net: nn.Module, name: str, value: Any) -> None:
    setattr(net, name, value)


class Uncopied(Net):
    """Cannot be copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise inputs.OwnError("of the user's own")


BACKBONES: dict[str, Callable[[], Any]] = {
    "half": lambda: Net().half(),
    "bfloat16": lambda: Net().bfloat16(),
    "float64": lambda: Net().double(),
    "mixed": _changed(lambda net: net.head.double() and None),
    "complex": _changed(lambda net: net.to(torch.complex64)),
    "meta": lambda: Net().to("meta"),
    "training": lambda: Net().train(),
    "hook": lambda: _hooked(lambda *_: None),
    "hook that changes": lambda: _hooked(lambda _m, _i, out: out * 2),
    "hook that fails": lambda: _hooked(_fail),
    "hook that gives a tuple": lambda: _hooked(lambda _m, _i, out: (out,)),
    "early hook": _changed(lambda net: net.register_forward_pre_hook(lambda _m, args: (args[0] * 0.5,)) and None),
    "backward hook": _changed(lambda net: net.register_full_backward_hook(lambda *_: None) and None),
    "tied": _tied,
    "one weight twice": _same_weight,
    "of buffers": _of_buffers,
    "no parameters": lambda: nn.Sequential(nn.AvgPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "empty": nn.Sequential,
    "identity": nn.Identity,
    "a lone layer": lambda: nn.Conv2d(3, WIDTH, 3),
    "a linear network": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, CLASSES)),
    "lazy": lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3)),
    "scripted": lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())),
    "parallel": lambda: nn.DataParallel(Net()),
    "compiled": lambda: torch.compile(Net()),
    "uncopied": Uncopied,
    "holds a generator": _changed(lambda net: _with_item(net, "kept", (one for one in ()))),
    "holds a lambda": _changed(lambda net: _with_item(net, "kept", lambda: net)),
    "holds itself": _changed(lambda net: _with_item(net, "kept", [net])),
    "weight norm": _changed(lambda net: nn.utils.parametrizations.weight_norm(net.head) and None),
    "spectral norm": _changed(lambda net: nn.utils.parametrizations.spectral_norm(net.head) and None),
    "two inputs": lambda: nn.Bilinear(3, 3, CLASSES),
    "recurrent": lambda: nn.LSTM(8, 4),
    "one channel": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "class": lambda: Net,
    "predicted": lambda: copy.deepcopy(Net()).state_dict(),
    "module list": lambda: nn.ModuleList([Net()]),
    **{manner: lambda manner=manner: Net(manner) for manner in MANNERS},
}
MODULES = (
    *("first", "second", "first.0", "first[0]", "features[3]", "0", "2", "second.2", "head", "unused", "", ".", "net"),
    *("first.1", "second['0']", "first..0", "self.first", "module.first", " first ", "kept", "forward", "head.weight"),
)
PREDICTORS = (
    *("nn.ConvTranspose2d(4, 3, 3, padding=1)", "nn.Conv2d(4, 3, 3, padding=1)", "nn.Conv2d(4, 4, 3)", "nn.Identity()"),
    *("nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1))", "nn.Conv2d", "Conv2d(4, 3, 1)", ""),
    *("nn.Conv2d(4, 3, 3, padding=1", "nn.Conv2d(4)", "print(1)", "__import__('os')", "nn.Linear(4, 3)", "lambda x: x"),
    *("nn.Conv2d(4, 3, -1)", "nn.Conv2d(4, 3, 3, padding='same')", "nn.LazyConv2d(3, 1)", "nn.LSTM(8, 4)", "torch.nn"),
    *("nn.Conv2d(0, 3, 1)", "nn.Conv2d(4, 3, 3, groups=2)", "nn.Conv2d(4, 3, 10**9)", "nn.MaxUnpool2d(2)", "nn.GRU()"),
    *("nn.Sequential()", "nn.ModuleList([])", "nn.Dropout(7)", "nn.Conv2d(4, 3, 3, 0)", "nn.Upsample(size=(0, 0))"),
)
KEYS = {
    "feedforward": inputs.whole_numbers(),
    "feedback": inputs.whole_numbers(),
    "pc": inputs.whole_numbers(),
    "feed_forward": st.just(0.3),
    "alpha": st.just(0.1),
    "beta": inputs.junk(),
}
WEIGHTS = (0, 0.3, "0.3", 0.8, 1, -0.1, float("nan"), float("inf"), np.float32(0.3), torch.tensor(0.2), True, None)


def _some(draw: st.DrawFn, options: dict[str, st.SearchStrategy[Any]], most: int) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(options)), unique=True, max_size=most))
    return {name: draw(options[name]) for name in names}


@st.composite
def pcoders(draw: st.DrawFn) -> Any:
    """One entry of the table's list of PCoders."""
    odd = draw(st.integers(1, 6)) == 6
    found: dict[str, Any] = {"module": draw(st.sampled_from(MODULES if odd else MODULES[:2]))}
    weights = st.sampled_from(WEIGHTS)
    options: dict[str, st.SearchStrategy[Any]] = {
        "predictor": st.one_of(st.sampled_from(PREDICTORS), inputs.junk()),
        "hyperparameters": st.one_of(
            st.fixed_dictionaries({}, optional=dict.fromkeys(("feedforward", "feedback", "pc"), weights)),
            st.just(0).flatmap(lambda _: _tables()),
            inputs.junk(),
        ),
        "error_window": st.one_of(inputs.whole_numbers(), weights),
        "modul": inputs.junk(),
        "module": inputs.junk(),
    }
    return found | (_some(draw, options, 2) if draw(st.booleans()) else {})


@st.composite
def _tables(draw: st.DrawFn) -> Any:
    return _some(draw, KEYS, 3)


TABLE: dict[str, st.SearchStrategy[Any]] = {
    "name": st.one_of(st.just("own"), inputs.junk()),
    "input_size": st.one_of(
        st.sampled_from([[3, 8, 8], (3, 9, 12), [1, 8, 8], [3, 8], [8, 8, 3], [3, 0, 8], "3,8,8", np.array([3, 8, 8])]),
        st.just(torch.Size([3, 8, 8])),
        inputs.junk(),
    ),
    "gradient_scaling": st.one_of(st.booleans(), inputs.junk()),
    "shared_hyperparameters": st.one_of(st.booleans(), inputs.junk()),
    "imports": st.one_of(st.sampled_from([["from torch import nn"], "import os", ["import nowhere"]]), inputs.junk()),
    "pcoders": inputs.junk(),
    "pcoder": inputs.junk(),
    "inputsize": inputs.junk(),
}


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """A configuration as a table."""
    found = {"input_size": [3, 8, 8], "pcoders": draw(st.lists(pcoders(), min_size=0, max_size=3))}
    right = draw(st.booleans())
    if right:
        found["pcoders"] = [{"module": "first"}, {"module": "second"}][: draw(st.integers(1, 2))]
    return found | (_some(draw, TABLE, 2) if draw(st.booleans()) else {})


_TEXTS = (
    *("", "input_size = [3, 8, 8]\n", "input_size = [3, 8, 8]\n[[pcoders]]\nmodule = 'first'\n", "not toml", "\x00"),
    *("[[pcoders]]\nmodule = 3\n", "input_size = 3\npcoders = []\n", "pcoders = 1979-05-27\ninput_size = [3, 8, 8]\n"),
    *(
        "input_size = [3, 8, 8]\n[[pcoders]]\nmodule = 'first'\n[pcoders.hyperparameters]\nfeedforwrd = 0.1\n",
        "a = nan",
    ),
)


@st.composite
def configurations(draw: st.DrawFn) -> Any:
    """A configuration as a table, a file, or anything."""
    form = draw(st.sampled_from(["table"] * 7 + ["file", "text", "missing", "folder", "junk"]))
    if form in ("file", "text"):
        path = Path(tempfile.gettempdir()) / "fuzzed-network.toml"
        path.write_text(draw(st.sampled_from(_TEXTS)))
        return path if form == "file" else str(path)
    others = {"missing": st.just("nowhere.toml"), "folder": st.just(Path(tempfile.gettempdir())), "junk": inputs.junk()}
    return draw(others[form] if form in others else tables())


def backbones() -> st.SearchStrategy[Any]:
    """Networks of many kinds, half of them plain; sometimes no network."""
    odd = st.sampled_from(sorted(BACKBONES)).map(lambda name: BACKBONES[name]())
    return st.one_of(st.just("plain").map(lambda _: Net()), odd, odd, odd, inputs.junk())
