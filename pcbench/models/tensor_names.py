"""The names that tensors have in the checkpoints in use, and those that pcbench gives them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from pcbench.models.weights import BACKBONE, PREDICTORS, StateDict, part

SCALE = "C_sqrt"
"""What the reference calls the root of C, the number in its gradient scale; a tensor beside a predictor's weights."""
HYPERPARAMETERS = "hyperparameters."
"""What stands before β, λ and α in the state of one of the reference's networks: ``hyperparameters.ffm1``."""

_WHOLE = re.compile(r"pcoder_?(\d+)\.(.+)")
_WEIGHING = re.compile(r"(ffm|fbm|erm)(\d*)")
_LEARNED = re.compile(r"(ff_part|fb_part|mem_part|errorm)\d*")
_COMPILED, _PARALLEL, _MODULE = "_orig_mod.", "module.", "pmodule."


def predictors_of(given: Mapping[str, Tensor], *, whole: bool = False) -> StateDict:
    """Return the tensors of a checkpoint under the names that pcbench gives them.

    Args:
        given: What the file holds.
        whole: It is one of all predictors, or of a whole network, not of one PCoder.

    Returns:
        Of one PCoder: its predictor's own names, and `C_sqrt`. Else ``predictors.{n}.…``, ``backbone.…`` and
        ``hyperparameters.…``, without what belongs to none of them.
    """
    state = _without({name.replace(_COMPILED, ""): tensor for name, tensor in given.items()}, _PARALLEL)
    if not whole:
        return _of_one(state)
    found = _of_all(state)
    if not any(name.startswith(PREDICTORS) for name in found):
        # Such as the `model.` of a module around the network.
        found = _of_all(_without(state, f"{next(iter(state), '').partition('.')[0]}."))
    return found


def backbone_of(given: Mapping[str, Tensor]) -> StateDict:
    """Return a backbone's tensors from a file of it alone, or of a whole network."""
    state = _without({name.replace(_COMPILED, ""): tensor for name, tensor in given.items()}, _PARALLEL)
    inside = part(state, BACKBONE)
    return _without(inside, _PARALLEL) or state


def without_place(given: Mapping[str, Tensor]) -> list[str]:
    """Return the names in a file of a whole network that belong to no predictor, no backbone and no hyperparameter."""
    state = _without({name.replace(_COMPILED, ""): tensor for name, tensor in given.items()}, _PARALLEL)
    known = re.compile(rf"{_WHOLE.pattern}|{_WEIGHING.pattern}|{_LEARNED.pattern}|({PREDICTORS}|{BACKBONE}).*")
    if not any(known.fullmatch(name) for name in state):
        return []
    return [name for name in state if known.fullmatch(name) is None]


def indices_of(state: Mapping[str, Tensor]) -> list[int]:
    """Return n from 0 of all predictors whose tensors a state holds under ``{n}.…``, ascending."""
    first = {name.partition(".")[0] for name in state}
    return sorted(int(number) for number in first if number.isdecimal())


def as_named(given: StateDict, own: list[str]) -> StateDict:
    """Return a predictor's tensors under its own names, where an index in front is all that differs."""
    if given.keys() == set(own) or not given:
        return given
    for changed in _other_names(given):
        if changed.keys() == set(own):
            return changed
    return given


def _other_names(given: StateDict) -> Iterator[StateDict]:
    yield _without(given, "0.")
    yield {f"0.{name}": tensor for name, tensor in given.items()}


def _of_one(state: StateDict) -> StateDict:
    found = [_WHOLE.fullmatch(name) for name in state]
    if len({match.group(1) if match else None for match in found}) == 1:
        state = {match.group(2) if match else name: state[name] for match, name in zip(found, state, strict=True)}
    return {name.removeprefix(_MODULE): tensor for name, tensor in state.items()}


def _of_all(given: StateDict) -> StateDict:
    state: StateDict = {}
    found = {name: match for name in given if (match := _WHOLE.fullmatch(name)) is not None}
    bare = not any(match.group(2).startswith(_MODULE) for match in found.values())
    for name, tensor in given.items():
        match = found.get(name)
        if match is not None:
            inner = match.group(2)
            if bare or inner.startswith(_MODULE) or inner == SCALE:  # the rest are the reference's own states
                state[f"{PREDICTORS}{int(match.group(1)) - 1}.{inner.removeprefix(_MODULE)}"] = tensor
        elif _WEIGHING.fullmatch(name) and tensor.numel() == 1:
            state[f"{HYPERPARAMETERS}{name}"] = tensor
        elif name.startswith((PREDICTORS, BACKBONE)):
            state[name] = tensor
    # The state of a network of our own holds its backbone under `backbone.module.…`.
    backbone = _without(part(state, BACKBONE), _PARALLEL)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(BACKBONE)}
    return {**kept, **{f"{BACKBONE}{name}": tensor for name, tensor in backbone.items()}}


def _without(state: Mapping[str, Tensor], prefix: str) -> StateDict:
    """Return tensors without a prefix that all of their names have."""
    if not state or not all(name.startswith(prefix) for name in state):
        return dict(state)
    return part(state, prefix)
