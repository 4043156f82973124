"""Attacks for Python users."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pcbench.attacks.definitions import AttackDefinition, load_attack_suite
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep
from pcbench.catalog import suite_folder, suite_names
from pcbench.data.labels import as_labels
from pcbench.errors import UsageError
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.network.gradient import Gradient

DEFAULT_SUITE = "linf"


def attack(
    model: str | nn.Module | Model,
    images: Tensor | NDArray[np.floating[Any]],
    labels: Tensor | ArrayLike,
    attack: str | AttackDefinition = "pgd",
    *,
    timestep: int | None = None,
    gradient: Gradient = "exact",
    seed: int = 0,
    **options: Unpack[SweepOptions],
) -> Sweep:
    """Attack one timestep of a model, at every budget of an attack.

    Args:
        model: A name of the zoo, ``"module:function"``, a module, or what `pcbench.models.load` returned.
        images: (N, channels, height, width), float, in [0, 1].
        labels: (N,), whole numbers.
        attack: ``"pgd"`` (in the suite `linf`), ``"l2/pgd"`` (in another suite), or a definition.
        timestep: The classifier to attack; default: the model's last.
        gradient: How error terms are differentiated; see `pcbench.network.gradient`.
        seed: Seed of random starts; an image's index in the batch is its id.
        **options: `epsilons=["8/255"]` replaces the definition's; see `SweepOptions`.

    Returns:
        Predictions, successes and measured norms for every budget, with epsilon 0.

    Raises:
        UnknownNameError: No such model, suite or attack.
        UsageError: No such timestep; an epsilon, target or parameter out of range; a model without gradients or with
            too few classes.
        DataError: Images outside [0, 1], or labels that do not match them.
        MissingExtraError: The attack's library is not installed.
        RunError: The model returns NaN.
    """
    loaded = model if isinstance(model, Model) else load(model)
    chosen = loaded.timesteps if timestep is None else timestep
    if isinstance(chosen, bool) or chosen < 0:
        raise UsageError(f"timestep is {chosen!r}; it counts updates and is a whole number from 0")
    definition = find_attack(attack) if isinstance(attack, str) else attack
    pixels = torch.as_tensor(images).to(loaded.device)
    names = [str(index) for index in range(len(pixels))]
    classifier = loaded.at(chosen, gradient)
    return sweep(classifier, pixels, as_labels(labels), definition, ids=names, seed=seed, **options)


def find_attack(name: str) -> AttackDefinition:
    """Return an attack by name: ``"pgd"`` is looked for in the suite `linf`, ``"l2/pgd"`` in `l2`.

    Raises:
        UnknownNameError: No such suite or attack.
        UsageError: The suite is one of corruptions.
    """
    suite, _, attack_name = name.rpartition("/")
    kind, folder = suite_folder(suite or DEFAULT_SUITE)
    if kind != "attacks":
        raise UsageError(f"{suite!r} is a suite of corruptions; attacks are in: {', '.join(suite_names('attacks'))}")
    return load_attack_suite(folder).attack(attack_name)
