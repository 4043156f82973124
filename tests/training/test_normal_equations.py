"""Oracle: dense least squares, whose design matrix is made of the layer's own outputs for each unit weight."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcbench.training.conjugate_gradients import Steps
from pcbench.training.linear_parts import Learned, LinearParts, learns_more, taken_apart
from pcbench.training.normal_equations import NormalEquations, is_small

LAYERS: dict[str, Learned] = {
    "padding": nn.ConvTranspose2d(3, 2, 3, padding=1),
    "stride, output padding, groups": nn.ConvTranspose2d(4, 2, 5, stride=2, padding=2, output_padding=1, groups=2),
    "without bias": nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1, bias=False),
    "two strides, dilation": nn.ConvTranspose2d(
        2, 2, (3, 2), stride=(3, 1), padding=(0, 1), dilation=(1, 2), output_padding=(2, 0)
    ),
    "a stride larger than the kernel": nn.ConvTranspose2d(2, 2, 2, stride=3),
    "a convolution": nn.Conv2d(4, 2, (3, 2), stride=2, padding=(1, 0), groups=2),
    "linear": nn.Linear(5, 3),
}


def dense(layer: Learned, inputs: Tensor) -> Tensor:
    """The design matrix, (cells, weights and biases): the outputs are linear in these."""
    columns: list[Tensor] = []
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        for parameter in layer.parameters():
            for index in range(parameter.numel()):
                parameter.view(-1)[index] = 1.0
                columns.append(layer(inputs).flatten())
                parameter.view(-1)[index] = 0.0
    return torch.stack(columns, 1)


def least_squares(design: Tensor, targets: Tensor) -> Tensor:
    found = np.linalg.lstsq(design.numpy(), targets.flatten().numpy(), rcond=None)
    return torch.from_numpy(found[0])


def drawn(layer: Learned) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    shape = (9, 5) if isinstance(layer, nn.Linear) else (9, layer.in_channels, 6, 5)
    inputs = torch.rand(shape, generator=generator, dtype=torch.float64)
    return inputs, torch.randn(layer(inputs).shape, generator=generator, dtype=torch.float64) + 1


@pytest.mark.parametrize("name", LAYERS)
def test_the_closed_form_is_dense_least_squares(name: str) -> None:
    layer = LAYERS[name].double()
    inputs, targets = drawn(layer)
    equations = NormalEquations(layer)
    for some in (slice(0, 4), slice(4, 9)):
        equations.add(inputs[some], targets[some])
    design = dense(layer, inputs)
    best = least_squares(design, targets)
    weight, bias = equations.solve(0.0)
    found = torch.cat([weight.flatten(), *([] if bias is None else [bias])])
    torch.testing.assert_close(found, best, rtol=0, atol=1e-9)


def test_a_strength_punishes_the_weights_and_not_the_bias() -> None:
    layer = nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1).double()
    inputs, targets = drawn(layer)
    equations = NormalEquations(layer)
    equations.add(inputs, targets)
    weight, bias = equations.solve(0.1)
    design, count = dense(layer, inputs), layer.weight.numel()
    # The unit of the strength: the mean square of a patch's cell, summed over the cells of one output channel.
    unit = design[:, :count].square().sum() / count
    punished = torch.cat([0.1 * unit * torch.ones(count).double(), torch.zeros(2)])
    best = cast("Tensor", torch.linalg.solve(design.T @ design + torch.diag(punished), design.T @ targets.flatten()))
    assert bias is not None
    torch.testing.assert_close(torch.cat([weight.flatten(), bias]), best, rtol=0, atol=1e-9)


def test_conjugate_gradients_end_at_dense_least_squares() -> None:
    layer = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1).double()
    inputs, targets = drawn(layer)
    steps = Steps(LinearParts((), layer, ()))
    for _ in range(80):
        for some in (slice(0, 4), slice(4, 9)):
            steps.add(inputs[some], targets[some])
        steps.step()
    best = least_squares(dense(layer, inputs), targets)
    found = torch.cat([steps.solution["weight"].flatten(), steps.solution["bias"]])
    torch.testing.assert_close(found, best, rtol=0, atol=1e-6)


def test_dead_channels_are_counted_and_cost_nothing_with_a_ridge() -> None:
    layer = nn.ConvTranspose2d(3, 2, 3, padding=1).double()
    inputs, targets = drawn(layer)
    inputs[:, 1] = 0
    equations = NormalEquations(layer)
    equations.add(inputs, targets)
    assert equations.dead_channels() == (1, 3)
    with pytest.raises(np.linalg.LinAlgError):
        equations.solve(0.0)
    weight, _ = equations.solve(1e-6)
    assert torch.equal(weight[1], torch.zeros_like(weight[1]))
    apart = NormalEquations(nn.ConvTranspose2d(3, 3, 3, padding=1, groups=3).double())
    apart.add(inputs, inputs)
    weight, _ = apart.solve(1e-6)
    assert torch.equal(weight[1], torch.zeros_like(weight[1]))


def test_predictors_are_taken_apart() -> None:
    convolution = nn.ConvTranspose2d(2, 3, 3, padding=1)
    upsampled = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Sequential(convolution))
    parts = taken_apart(upsampled)
    assert parts is not None
    assert (parts.layer, parts.is_linear, learns_more(upsampled)) == (convolution, True, False)
    cut_off = nn.Sequential(convolution, nn.ReLU())
    assert learns_more(cut_off)
    assert learns_more(nn.Sequential(nn.Conv2d(2, 2, 1), convolution))
    assert taken_apart(nn.Sequential(convolution, nn.BatchNorm2d(3))) is None
    assert taken_apart(nn.Upsample(scale_factor=2)) is None
    assert not is_small(nn.ConvTranspose2d(512, 512, 14, stride=2, padding=6, device="meta"))
