"""Oracle: the network itself, asked directly: whatever it is wrapped in or keeps, its copy gives the same logits."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import pcbench
from pcbench import models
from pcbench.errors import ConfigurationError, RunError, UsageError
from pcbench.network.own_modules import check_network, computed_in, logits_of, own_code, private_copy, unwrapped

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3])
CONFIGURATION = {"input_size": (3, 8, 8), "pcoders": [{"module": "conv"}]}


class Net(nn.Module):
    """A small classifier."""

    input_size = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 6, 3, padding=1)
            self.fc = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Any:
        """Return logits."""
        return self.fc(torch.relu(self.conv(images)).mean((2, 3)))


class Keeping(Net):
    """It keeps its activations, one of them inside a list of a table."""

    def forward(self, images: Tensor) -> Any:
        """Return logits, and keep what they are made of."""
        self.kept = torch.relu(self.conv(images))
        self.table = {"kept": [self.kept]}
        return self.fc(self.kept.mean((2, 3)))


class Answering(Net):
    """It gives its logits as something else than a tensor."""

    def __init__(self, form: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.form = form

    def forward(self, images: Tensor) -> Any:
        """Return logits in another form."""
        return self.form(super().forward(images))


class Output:
    """Logits as an attribute, as in transformers."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


def run_once(net: Net) -> Net:
    """Let a network see images, with gradients, as a training does."""
    net(IMAGES)
    return net


def weight_norm() -> Net:
    net = Net()
    nn.utils.weight_norm(net.conv)
    return run_once(net)


def new_weight_norm() -> Net:
    net = Net()
    nn.utils.parametrizations.weight_norm(net.conv)
    return run_once(net)


def spectral_norm() -> Net:
    net = Net()
    nn.utils.spectral_norm(net.conv)
    return run_once(net)


def pruned() -> Net:
    net = Net()
    prune.l1_unstructured(net.conv, "weight", 0.5)
    return run_once(net)


def hooked() -> Net:
    net = Net()
    kept: list[Tensor] = []
    net.conv.register_forward_hook(lambda *arguments: kept.append(arguments[2]))
    net.activations = kept  # type: ignore[assignment]
    return run_once(net)


def trained_with_graph() -> Net:
    net = Net()
    net(IMAGES).sum().backward(create_graph=True)
    return net


HARD_TO_COPY = [weight_norm, new_weight_norm, spectral_norm, pruned, hooked, trained_with_graph]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("make", [*HARD_TO_COPY, lambda: run_once(Keeping())])
def test_what_a_network_keeps_does_not_hinder_a_copy(make: Callable[[], Net]) -> None:
    net = make()
    expected = net.eval()(IMAGES)
    net.train()
    copied = private_copy(net)
    assert torch.equal(copied(IMAGES), expected)
    assert net.training
    assert not copied.training
    with torch.no_grad():
        next(copied.parameters()).add_(1)
    assert torch.equal(net.eval()(IMAGES), expected)
    network = pcbench.predify(net, CONFIGURATION)
    assert torch.equal(network.unroll(IMAGES, 1).logits[0], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_network_inside_a_wrapper_is_measured() -> None:
    expected = Net()(IMAGES)
    for wrapped in (nn.DataParallel(Net()), torch.compile(Net(), backend="eager")):
        assert type(unwrapped(wrapped)) is Net  # type: ignore[arg-type]
        model = models.load(wrapped)  # type: ignore[arg-type]
        assert model.name == "Net"
        assert torch.equal(model.logits(IMAGES)[0], expected)
        assert torch.equal(pcbench.predify(wrapped, CONFIGURATION).unroll(IMAGES, 0).logits[0], expected)  # type: ignore[arg-type]


def test_what_a_wrapper_states_counts() -> None:
    class Silent(Net):
        input_size = None  # type: ignore[assignment]

    inner = Silent()
    wrapped = nn.DataParallel(inner)
    wrapped.class_names = list("abcde")
    assert models.load(wrapped).class_names == tuple("abcde")
    assert not hasattr(inner, "class_names")


@pytest.mark.parametrize("form", [Output, lambda logits: {"logits": logits}], ids=["attribute", "entry"])
def test_logits_are_found_in_what_a_network_gives(form: Callable[[Tensor], object]) -> None:
    expected = Net()(IMAGES)
    assert logits_of(form(expected)) is expected
    assert torch.equal(models.load(Answering(form)).logits(IMAGES)[0], expected)
    assert torch.equal(pcbench.predify(Answering(form), CONFIGURATION).unroll(IMAGES, 0).logits[0], expected)


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: {"out": logits}, "a dict"),
        (lambda logits: logits.argmax(1), r"a tensor \(2,\) for 2 images"),
        (lambda logits: logits + 0j, r"complex numbers \(2, 5\) for 2 images"),
        (lambda _: None, "a NoneType"),
    ],
)
def test_what_does_not_hold_logits_is_named(form: Callable[[Tensor], object], kind: str) -> None:
    with pytest.raises(UsageError, match=rf"Answering does not give logits: .*; it gives {kind}$"):
        models.load(Answering(form))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_type_takes_images_in_its_own(dtype: torch.dtype) -> None:
    net = Net().to(dtype)
    expected = net(IMAGES.to(dtype))
    logits = models.load(net).logits(IMAGES)[0]
    assert logits.dtype is (torch.float64 if dtype is torch.float64 else torch.float32)
    assert torch.equal(logits, expected.to(logits.dtype))
    outcome = pcbench.attack(net, IMAGES.numpy().astype("float64"), LABELS, "fgsm", epsilons=8 / 255)
    assert outcome.epsilons == (0.0, 8 / 255)
    assert torch.equal(pcbench.predify(net, CONFIGURATION).unroll(IMAGES, 1).logits[0].to(dtype), expected)


def test_float16_is_refused_with_both_types_named() -> None:
    # Oracle: a gradient of 1e-8, which float16 rounds to 0, so that an attack has nothing to follow.
    assert torch.tensor(1e-8).half() == 0
    for measured in (lambda: computed_in(Net().half()), lambda: models.load(Net().half())):
        with pytest.raises(UsageError, match=r"Net computes in float16, and images are float32: .*model\.float\(\)"):
            measured()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_measured_but_not_taken_apart() -> None:
    scripted = torch.jit.trace(Net(), IMAGES[:2])
    scripted.input_size = (3, 8, 8)
    assert torch.equal(models.load(scripted).logits(IMAGES)[0], Net()(IMAGES))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^TorchScript can't be predified; give the torch.nn.Module"):
        pcbench.predify(scripted, CONFIGURATION)  # type: ignore[arg-type]


def lazy() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(5))


def without_values() -> nn.Module:
    with torch.device("meta"):
        return Net()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Net, r"^Net is a class; give an instance of it: Net\(\)$"),
        (lambda images: images, "not a function; call it in the forward method of one$"),
        (4.5, "a model is a name or a torch.nn.Module, not 4.5$"),
        (3, "not 3$"),
        (lazy(), "^Sequential: the lazy layer of 1.weight is not made yet; run the network once on its images$"),
        (without_values(), "^Net: conv.weight lies on the device 'meta', where weights have no values"),
    ],
)
def test_what_is_not_a_network_is_refused_in_one_line(model: Any, says: str) -> None:
    for measured in (
        lambda: check_network(model),
        lambda: models.load(model),
        lambda: pcbench.predify(model, CONFIGURATION),
        lambda: pcbench.attack(model, IMAGES, LABELS),
        lambda: pcbench.run(model, "linf", data=(IMAGES, LABELS)),
    ):
        with pytest.raises(UsageError, match=says):
            measured()


def test_what_cannot_be_copied_is_named() -> None:
    net = Net()
    net.conv.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"^Net: its attribute 'conv.lock' can't be copied \(TypeError: ") as caught:
        models.load(net)
    assert isinstance(caught.value.__cause__, TypeError)


class Failing(Net):
    """It fails on bright images."""

    def forward(self, images: Tensor) -> Any:
        """Return logits of dark images."""
        if images.max() > 0.5:
            raise KeyError("mine")
        return super().forward(images)


def test_an_exception_of_the_users_own_is_the_cause() -> None:
    with pytest.raises(RunError, match=r"^Failing fails under the attack fgsm: KeyError: 'mine'$") as failed:
        pcbench.attack(Failing(), IMAGES, LABELS, "fgsm")
    assert isinstance(failed.value.__cause__, KeyError)
    model = models.load(Failing())
    with pytest.raises(RunError, match=r"^Failing fails: KeyError: 'mine'$") as asked:
        model.logits(IMAGES)
    assert isinstance(asked.value.__cause__, KeyError)
    with pytest.raises(KeyError):
        model.answer(IMAGES)  # what the harness asks: its messages name the unit
    with pytest.raises(ConfigurationError, match="cannot run on") as refused:
        pcbench.predify(Failing(), CONFIGURATION)
    assert isinstance(refused.value.__cause__, KeyError)
    with pytest.raises(UsageError, match="ours"), own_code("this"):
        raise UsageError("ours")


def test_too_little_memory_is_said_with_the_remedy() -> None:
    with pytest.raises(RunError, match="memory is too small; give a smaller batch_size"), own_code("the network"):
        raise torch.OutOfMemoryError("tried to allocate")


def test_modes_around_a_call_do_not_change_it() -> None:
    plain = pcbench.attack(Net(), IMAGES, LABELS, "bim", epsilons="64/255")
    for mode in (torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", dtype=torch.bfloat16)):
        with mode():
            images = IMAGES.clone()
            changed = pcbench.attack(Net(), images, LABELS, "bim", epsilons="64/255")
        assert (changed.prediction == plain.prediction).all()
        assert (changed.columns["margin"] == plain.columns["margin"]).all()


def test_a_network_in_training_mode_is_measured_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(192, 5))
    net.input_size = (3, 8, 8)  # type: ignore[assignment]
    expected = net.eval()(IMAGES)
    net.train()
    assert torch.equal(models.load(net).logits(IMAGES)[0], expected)
    assert net.training
    assert net[1].training


class Scaled(nn.Module):
    """A backbone that reads a parameter of its own in its forward method."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return (self.layer(images) * self.scale).mean((2, 3))


def test_a_copy_of_a_network_reads_its_own_parameters() -> None:
    configuration = {
        "input_size": [3, 8, 8],
        "pcoders": [{"module": "layer", "predictor": "ConvTranspose2d(4, 3, 3, padding=1)"}],
    }
    network = pcbench.predify(Scaled().eval(), configuration)
    images = torch.rand(2, 3, 8, 8)
    before, copied = network(images, 1), copy.deepcopy(network)
    assert torch.equal(copied(images, 1), before)
    with torch.no_grad():
        copied.backbone.module.get_parameter("scale").fill_(2)
    torch.testing.assert_close(copied(images, 1)[0], 2 * before[0])
    assert torch.equal(network(images, 1), before)
