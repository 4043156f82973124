"""Predictors written as text. Oracle: the module that Python itself makes of the text, and a list of attacks."""

from __future__ import annotations

import pytest
from torch import nn

from pcbench.errors import ConfigurationError
from pcbench.network.expressions import build_module, imported_names


@pytest.mark.parametrize(
    "text",
    [
        "ConvTranspose2d(64, 3, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))",
        "Sequential(ConvTranspose2d(128, 64, kernel_size=10, stride=2, padding=4), ReLU(inplace=True))",
        "nn.Sequential(nn.Upsample(scale_factor=(2.0, 2.0), mode='bilinear'), nn.Conv2d(3, 2, 3, bias=False))",
        " LeakyReLU(negative_slope=-1e-2) ",
    ],
)
def test_text_becomes_the_module_it_says(text: str) -> None:
    known = {name: getattr(nn, name) for name in ("ConvTranspose2d", "Sequential", "ReLU", "LeakyReLU")}
    assert str(build_module(text)) == str(eval(text.strip(), {"nn": nn, **known}))  # noqa: S307  # the oracle


def test_imports_give_names() -> None:
    names = imported_names(["from   torch.nn import ReLU as Rectifier, Conv2d", "import torch.nn as nn"])
    assert names == {"Rectifier": "ReLU", "Conv2d": "Conv2d"}
    assert isinstance(build_module("Sequential(Rectifier())", names)[0], nn.ReLU)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/x')",
        "ReLU().__class__.__base__()",
        "Conv2d(3, open('/etc/passwd').read())",
        "Conv2d(3, 2, (lambda: 3)())",
        "Conv2d(3, 2, kernel_size=[i for i in range(3)][2])",
        "Sequential(*[ReLU()])",
        "ReLU(**{})",
        "nn.init.ones_(3)",
        "nn.functional.relu(3)",
        "torch.hub.load('a', 'b')",
        "os.system('true')",
        "Module.load('x')",
        "ReLU",
        "3",
        "ReLU() if True else Tanh()",
        "ReLU(); ReLU()",
        "(" * 300 + ")" * 300,
        "",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_module(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["import os", "from os import system", "print(1)", "from torch import hub", "x ="])
def test_other_imports_are_refused(line: str) -> None:
    with pytest.raises(ConfigurationError):
        imported_names([line])
