"""Attacks for Python users."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Unpack, cast, get_args

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pcbench.arguments import LARGEST_SEED, MOST_DRAWS, MOST_TIMESTEPS, a_word, asked, public, shown, whole_number
from pcbench.attacks.classify import check_images, single
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.given import attack_of, find_attack, own_attack
from pcbench.attacks.retry import retry
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep
from pcbench.data.labels import as_labels
from pcbench.errors import DataError, RunError, UsageError
from pcbench.models.draws import Drawing
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.models.sizes import check_stated_size
from pcbench.network.gradient import Gradient
from pcbench.network.own_modules import check_network, own_code
from pcbench.network.seeding import seeded
from pcbench.options import Option, resolved

__all__ = ["AttackOptions", "attack", "find_attack", "own_attack"]

logger = logging.getLogger("pcbench")

_SETTINGS = ("steps", "restarts", "relative_step_size", "random_start", "targeted", "norm")
_IN_THE_DEFINITION: Mapping[str, str] = {
    name: f"{name!r} is a setting of the attack; change it in the definition: "
    f"attack=find_attack('pgd').model_copy(update={{{name!r}: …}}), with find_attack of pcbench.attacks.api"
    for name in _SETTINGS
}


class AttackOptions(SweepOptions, total=False):
    """What may be changed about an attack on a model."""

    stochastic: Annotated[
        int | None, Ge(1), Le(MOST_DRAWS), Option("Over how many draws a model that draws random numbers is averaged.")
    ]
    """It is attacked by expectation over other draws."""


@public(AttackOptions, elsewhere=_IN_THE_DEFINITION)
def attack(
    model: str | nn.Module | Model,
    images: Tensor | NDArray[np.floating[Any]],
    labels: Tensor | ArrayLike,
    attack: object = "pgd",
    *,
    timestep: int | None = None,
    gradient: Gradient = "exact",
    seed: int = 0,
    **options: Unpack[AttackOptions],
) -> Sweep:
    """Attack one timestep of a model, at every budget of an attack.

    Args:
        model: A name of the zoo, ``"module:function"``, a module, or what `pcbench.load` returned.
        images: (N, channels, height, width), float, in [0, 1].
        labels: (N,), whole numbers.
        attack: ``"pgd"`` (in the suite `linf`), ``"l2/pgd"`` (in another suite), ``"mine.toml"``, a definition, an
            attack object of foolbox or torchattacks, or a function of the user's own: see `own_attack`, by which its
            norm, name and target are stated.
        timestep: The classifier to attack; default: the model's last.
        gradient: How error terms are differentiated; see `pcbench.network.gradient`.
        seed: Seed of random starts and draws; an image's index in the batch is its id.
        **options: `epsilons=["8/255"]` replaces the definition's; see `AttackOptions`.

    Returns:
        Predictions, successes and measured norms for every budget, with epsilon 0. A line is logged where logits were
        not finite, or where images were left standing without a gradient to follow: these are attacked again, see
        `Sweep.retried`.

    Raises:
        UnknownNameError: No such model, suite or attack.
        UsageError: No such timestep; an epsilon, target or parameter out of range; a model without gradients or with
            too few classes.
        DataError: Images outside [0, 1], or labels that do not match them.
        MissingExtraError: The attack's library is not installed.
        RunError: The model returns NaN or infinity for every image.
    """
    # What can be wrong is found before a model is loaded.
    options = resolved(AttackOptions, options)
    stochastic = options.get("stochastic")
    changed = cast("SweepOptions", {name: value for name, value in options.items() if name != "stochastic"})
    a_word("gradient", gradient, get_args(Gradient))
    seed = whole_number("seed", seed, low=-LARGEST_SEED, high=LARGEST_SEED)
    chosen = None if timestep is None else whole_number("timestep", timestep, low=0, high=MOST_TIMESTEPS)
    definition = attack_of(attack)
    pixels = asked("images", lambda: _pixels(images))
    classes = as_labels(labels, images=len(pixels))
    asked("images", lambda: check_images(pixels, torch.tensor(classes)))
    if not isinstance(model, Model):
        check_network(model)
        check_stated_size(model, pixels.shape[1:])
        model = load(model, stochastic=stochastic)
    elif stochastic is not None:
        raise UsageError("the model is loaded already: give `stochastic` to pcbench.load")
    model.check_size(pixels.shape[1:])
    names = [str(index) for index in range(len(pixels))]
    classifier = model.at(model.timesteps if chosen is None else chosen, gradient)
    # What draws where nobody says what the draws depend on, such as noise that a network adds to its gradient alone.
    (first,) = Drawing(seed, names, definition.name, repeated=True).seeds(1)
    with own_code(f"{model.name} fails under the attack {definition.name}"), seeded(first, model.device):
        pixels = pixels.to(model.device)
        found = sweep(classifier, pixels, classes, definition, ids=names, seed=seed, **changed)
        again = retry(
            EvalBatch.of(pixels, classes, names, seed),
            definition,
            classifier,
            single(classifier),
            [found],
            {**changed, "keep_images": False},
        )
    _warn(found, again, model.name)
    return replace(found, retried=again[0] if again else None)


def _warn(found: Sweep, again: Sequence[Sweep], name: str) -> None:
    """Say which images' numbers mean little.

    Raises:
        RunError: The logits of no image are finite.
    """
    finite = found.columns["finite"][0]
    if not finite.any():
        raise RunError(
            f"{name}: its logits hold NaN or infinity for every image; check its weights, or its growth over t"
        )
    if not finite.all():
        count = int((~finite).sum())
        logger.warning(
            "%s: logits are not finite for %d of %d images: they count as not correct", name, count, len(finite)
        )
    for one in again:
        standing = int((one.eligible & ~one.success_within[-1]).sum())
        logger.warning(
            "%s: %s found a gradient that was zero or not finite on %d of %d images and left them standing; "
            "a second attempt (`retried` of what is returned) left %d",
            name,
            found.attack,
            len(one.ids),
            int(found.eligible.sum()),
            standing,
        )


def _pixels(images: object) -> Tensor:
    """Return images as a tensor, without a graph; floating-point ones as float32.

    Raises:
        DataError: They are not numbers in memory, or an object of the user's own raised an exception.
    """
    try:
        pixels = images if isinstance(images, Tensor) else torch.as_tensor(np.asarray(images))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"images are a float array (images, channels, height, width) in [0, 1]: {error}") from error
    plain = pixels.layout is torch.strided and not (pixels.is_nested or pixels.is_meta or pixels.is_quantized)
    if not plain or pixels.ndim == 0:
        raise DataError(f"images are a float array (images, channels, height, width) in [0, 1] (got {shown(images)})")
    pixels = pixels.detach().clone()
    return pixels.float() if pixels.is_floating_point() else pixels
