"""What holds of any unrolled pass.

Oracle: the equations of DESIGN section 2 as properties: gradients against finite differences in float64
(`torch.autograd.gradcheck`), one image alone against the same image in a batch, one thread against two, a pass that
keeps or recomputes against one that doesn't.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_network import Configure
from torch import Tensor, nn

import pcbench
from pcbench.errors import UsageError
from pcbench.network import unrolling
from pcbench.network.decoding import decode
from pcbench.network.network import PredictiveNetwork
from pcbench.network.unrolling import diverged
from pcbench.network.update import Hyperparameters


@pytest.fixture
def network(small_backbone: nn.Module, small_configuration: Configure) -> PredictiveNetwork:
    weights = [(0.5, 0.2, 0.1), (0.4, 0.3, 0.1), (0.6, 0.0, 0.1)]
    return pcbench.predify(small_backbone, small_configuration(hyperparameters=weights, gradient_scaling=True))


@pytest.fixture
def tiny() -> PredictiveNetwork:
    """A network of float64 that is small enough for finite differences, with smooth layers besides ReLU."""
    torch.manual_seed(4)
    backbone = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(12, 3),
    ).double()
    weights = {"feedforward": 0.4, "feedback": 0.3, "pc": 0.2}
    first = {"module": "[1]", "predictor": "ConvTranspose2d(2, 1, 3, padding=1)", "hyperparameters": weights}
    second = {"module": "[3]", "predictor": None, "hyperparameters": weights}
    del second["predictor"]
    config = {"input_size": [1, 4, 4], "gradient_scaling": True, "pcoders": [first, second]}
    return pcbench.predify(backbone, config)


@pytest.mark.parametrize("timesteps", [0, 1, 3])
def test_exact_gradients_agree_with_finite_differences(tiny: PredictiveNetwork, timesteps: int) -> None:
    images = torch.rand(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tiny.unroll_input(x, timesteps).logits, images)


def test_constant_error_terms_miss_what_finite_differences_see(tiny: PredictiveNetwork) -> None:
    images = torch.rand(1, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).requires_grad_()
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda x: tiny.unroll_input(x, 2, "stop_error").logits, images)


def test_the_gradient_mode_changes_no_logits(network: PredictiveNetwork, images: Tensor) -> None:
    images = images.clone().requires_grad_()
    exact, stopped = (network.unroll_input(images, 4, mode).logits for mode in ("exact", "stop_error"))
    assert torch.equal(exact, stopped)


def test_an_image_s_logits_do_not_depend_on_the_others(network: PredictiveNetwork) -> None:
    images = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(6))
    alone = network.unroll_input(images[5:6], 8).logits[:, 0]
    among = network.unroll_input(images, 8).logits[:, 5]
    among_extremes = network.unroll_input(torch.cat([images[5:6], 1e3 * images[:7]]), 8).logits[:, 0]
    torch.testing.assert_close(among, alone, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(among_extremes, alone, rtol=1e-5, atol=1e-6)


def test_nothing_is_left_over_from_the_last_batch(network: PredictiveNetwork, images: Tensor) -> None:
    first = network.unroll_input(images, 5).logits
    network.unroll_input(1e3 * images, 5)
    assert torch.equal(network.unroll_input(images, 5).logits, first)


def test_two_threads_share_one_network(network: PredictiveNetwork) -> None:
    batches = [torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(8)]
    expected = [network.unroll_input(batch, 4).logits for batch in batches]
    found: dict[int, list[torch.Tensor]] = {}

    def work(worker: int) -> None:
        found[worker] = [network.unroll_input(batch, 4).logits for _ in range(5) for batch in batches]

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for worker in found.values() for a, b in zip(worker, expected * 5, strict=True))


def test_earlier_timesteps_do_not_depend_on_how_many_follow(network: PredictiveNetwork, images: Tensor) -> None:
    long = network.unroll_input(images, 6).logits
    for timestep in range(7):
        assert torch.equal(network.at(timestep)(images), long[timestep])


def test_keeping_more_changes_no_logits(network: PredictiveNetwork, images: Tensor) -> None:
    bare = network.unroll_input(images, 3)
    full = network.unroll_input(images, 3, keep=("representations", "predictions", "reconstructions"))
    assert torch.equal(bare.logits, full.logits)
    assert (bare.representations, bare.predictions, bare.reconstructions) == ((), (), ())
    assert [tensor.shape[1:] for tensor in full.representations[0]] == [(8, 16, 16), (16, 8, 8), (24, 4, 4)]
    assert [tensor.shape[1:] for tensor in full.predictions[3]] == [(3, 16, 16), (8, 16, 16), (16, 8, 8)]
    assert all(torch.equal(full.reconstructions[t], full.predictions[t][0]) for t in range(4))


def test_a_state_is_carried_to_the_next_pass(network: PredictiveNetwork, images: Tensor) -> None:
    """Oracle: one long pass is two short ones."""
    long = network.unroll_input(images, 5)
    first = network.unroll_input(images, 3, keep=("representations",))
    second = network.unroll_input(images, 2, start=first.representations[-1])
    assert torch.equal(second.logits, long.logits[3:])
    other = images.flip(0)
    primed = network.unroll_input(other, 2, start=first.representations[-1])
    assert torch.equal(primed.logits[0], first.logits[-1])
    assert not torch.allclose(primed.logits[2], network.unroll_input(other, 2).logits[2], atol=1e-4)


def test_a_state_of_another_shape_is_refused(network: PredictiveNetwork, images: Tensor) -> None:
    state = network.unroll_input(images, 0, keep=("representations",)).representations[0]
    for wrong in (3, [None] * 3, state[0]):
        given: Any = wrong
        with pytest.raises(UsageError, match=r"start is a list of tensors, e_1 to e_3 \(got"):
            network.unroll_input(images, 1, start=given)
    with pytest.raises(UsageError, match=r"keep is a list of names, such as \['errors'\]"):
        network.unroll_input(images, 1, keep="errors")
    with pytest.raises(UsageError, match="start has 2 representations; the network has 3 PCoders"):
        network.unroll_input(images, 1, start=state[:2])
    with pytest.raises(UsageError, match=r"start\[0\] is \(2, 8, 16, 16\); e_1 of these images is \(4, 8, 16, 16\)"):
        network.unroll_input(images, 1, start=[one[:2] for one in state])


@pytest.mark.parametrize("ablation", ["feedback", "error_weight"])
def test_an_ablation_is_the_equation_without_that_term(
    network: PredictiveNetwork, images: Tensor, ablation: str
) -> None:
    weights = [entry.without(ablation) for entry in network.hyperparameters]
    small = [
        Hyperparameters(entry.feedforward, entry.feedback or 1e-30 * (n < 2), entry.error_weight or 1e-30)
        for n, entry in enumerate(weights)
    ]
    without = network.unroll_input(images, 4, hyperparameters=weights).logits
    # A term that is computed and weighs nothing.
    torch.testing.assert_close(without, network.unroll_input(images, 4, hyperparameters=small).logits)
    assert (without - network.unroll_input(images, 4).logits).abs().max() > 1e-4


def test_only_feedforward_input_keeps_every_timestep_at_the_backbone(
    network: PredictiveNetwork, images: Tensor
) -> None:
    # β = 1, λ = α = 0 makes every update a feedforward pass.
    weights = [Hyperparameters(1.0, 0.0, 0.0)] * 3
    logits = network.unroll_input(images, 3, hyperparameters=weights).logits
    assert all(torch.equal(logits[t], logits[0]) for t in range(4))


def test_recomputing_gives_the_same_gradients(network: PredictiveNetwork, images: Tensor) -> None:
    gradients = []
    for recompute in (False, True):
        inputs = images.clone().requires_grad_()
        logits = network.unroll_input(inputs, 4, recompute=recompute).logits
        gradients.append(torch.autograd.grad(F.cross_entropy(logits[-1], torch.arange(4)), inputs)[0])
    assert torch.equal(gradients[0], gradients[1])


def test_hyperparameters_can_be_learned_by_gradient(tiny: PredictiveNetwork) -> None:
    values = torch.tensor([[0.4, 0.3, 0.2], [0.4, 0.0, 0.2]], dtype=torch.float64, requires_grad=True)
    images = torch.rand(1, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))

    def logits(table: Tensor) -> Tensor:
        return tiny.unroll_input(images, 2, hyperparameters=[Hyperparameters(*row) for row in table]).logits

    torch.testing.assert_close(logits(values), tiny.unroll_input(images, 2).logits)
    assert torch.autograd.gradcheck(logits, values)


def test_parameters_are_constants_unless_training(network: PredictiveNetwork, images: Tensor) -> None:
    network.at(2)(images.clone().requires_grad_()).sum().backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    network.train().unroll(images, 2).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.predictors.parameters())
    assert all(parameter.grad is None for parameter in network.backbone.parameters())
    assert not network.backbone.module.training


def test_no_representation_outlives_its_timestep_unless_a_graph_needs_it(
    network: PredictiveNetwork, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Memory must not grow with T: one timestep's representations are alive, and e_1(0), the constant drive.
    seen: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def watched(predictor: nn.Module, representation: Tensor, **options: Any) -> Any:
        seen.append(weakref.ref(representation))
        alive.append(sum(reference() is not None for reference in seen))
        return decode(predictor, representation, **options)

    monkeypatch.setattr(unrolling, "decode", watched)
    logits = network.unroll_input(images, 10).logits
    assert len(seen) == 30
    assert max(alive) <= 4
    assert not logits.requires_grad


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timesteps": -1}, "timesteps is -1"),
        ({"timesteps": 1.5}, "timesteps is 1.5"),
        ({"timesteps": 1, "gradient": "approximate"}, "gradient 'approximate' does not exist"),
        ({"timesteps": 1, "keep": ["logits"]}, "keep 'logits' does not exist"),
    ],
)
def test_wrong_arguments_are_refused(
    network: PredictiveNetwork, images: Tensor, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        network.unroll_input(images, **arguments)


def test_images_of_another_size_are_refused(network: PredictiveNetwork) -> None:
    with pytest.raises(UsageError, match="images are 3x8x8; this network takes 3x16x16"):
        network.unroll_input(torch.rand(1, 3, 8, 8), 1)


def test_divergence_is_told_from_magnitudes() -> None:
    magnitudes = torch.ones(3, 2, 4)
    magnitudes[2, 1, 1] = 11
    magnitudes[1, 0, 2] = float("nan")
    magnitudes[2, 0, 3] = 9
    assert diverged(magnitudes).tolist() == [False, True, True, False]
    assert diverged(magnitudes, growth=5).tolist() == [False, True, True, True]
    # An image that starts dark is compared with its batch, not with its own zeros.
    magnitudes = torch.ones(2, 1, 2)
    magnitudes[0, 0, 0] = 0
    assert diverged(magnitudes).tolist() == [False, False]


@pytest.mark.skipif(torch.__version__.startswith("2.8."), reason="the compiler of torch 2.8 loops over a property")
@pytest.mark.parametrize("timesteps", [0, 2])
def test_torch_compile_takes_the_whole_pass_as_one_graph(network: PredictiveNetwork, timesteps: int) -> None:
    # Oracle: the pass that is not compiled; `fullgraph` refuses a graph that breaks.
    inputs = torch.rand(2, *network.configuration.table.input_size)
    compiled = torch.compile(
        lambda images: network.unroll_input(images, timesteps).logits, fullgraph=True, backend="eager"
    )
    torch.testing.assert_close(compiled(inputs), network.unroll_input(inputs, timesteps).logits)
