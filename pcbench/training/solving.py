"""The first stage of `--method ridge`: predictors in closed form, kept in a file for when the training resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pcbench.errors import UsageError, WeightsError, damage_refused
from pcbench.files import is_file, make_folder, write
from pcbench.limits.tensors import check_safetensors
from pcbench.limits.text import parse_json
from pcbench.models.weights import StateDict, fill
from pcbench.network.network import PredictiveNetwork
from pcbench.training.checkpoint import describe
from pcbench.training.closed_form import Solved, solve_predictors
from pcbench.training.loop import Reporter
from pcbench.training.reconstructing import Images, r_squared
from pcbench.training.settings import TrainingSettings

CLOSED_FORM = "closed-form.safetensors"


@dataclass(frozen=True)
class ClosedForm:
    """Predictors that were solved."""

    state: StateDict
    """Their tensors."""
    solved: list[Solved]
    """How each was solved."""
    r_squared: list[float]
    """Of each, on the held-out images."""


def closed_form(
    network: PredictiveNetwork,
    fit: Images,
    held: Images,
    folder: Path,
    identity: Mapping[str, str],
    report: Reporter | None = None,
) -> ClosedForm:
    """Solve predictors, or find them in the file of the same training that did so before.

    Args:
        network: Its predictors are filled.
        fit: The images to fit on.
        held: The held-out images.
        folder: Receives the file, and a table of R² by the number of images.
        identity: What is solved from what; only the same training takes up the file.
        report: Called with (done, all, R² by name).

    Raises:
        UsageError: The folder holds those of another training.
        WeightsError: The file is damaged.
    """
    path = folder / CLOSED_FORM
    asked = {**describe(_counted(fit.settings)), **identity}
    if is_file(path):
        return _read(path, network, asked)
    solved = solve_predictors(network, fit, held, report)
    reached = r_squared(network, held)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.predictors.state_dict().items()}
    make_folder(folder)
    header = {
        "identity": json.dumps(asked, sort_keys=True),
        "solved": json.dumps({"solved": [asdict(one) for one in solved], "r_squared": reached}),
    }
    write(path, save(state, header))
    return ClosedForm(state, solved, reached)


def _counted(settings: TrainingSettings) -> TrainingSettings:
    """Return settings without what the closed form does not depend on."""
    return settings.changed(epochs=1, learning_rate=1.0, warm_up=0.0)


def _read(path: Path, network: PredictiveNetwork, asked: Mapping[str, Any]) -> ClosedForm:
    what, remedy = "cannot be read as predictors in closed form", "delete it to solve them again"
    with damage_refused(path, what, remedy, SafetensorError, RuntimeError, kind=WeightsError):
        check_safetensors(path)
        opened: Any = safe_open(path, framework="pt")
        with opened as file:
            header: dict[str, str] = file.metadata() or {}
            state: StateDict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # a file
        saved, held = parse_json(header["identity"], path), parse_json(header["solved"], path)
        solved = [Solved(**one) for one in held["solved"]]
    for key in sorted(saved.keys() | asked.keys()):
        if saved.get(key) != json.loads(json.dumps(asked.get(key))):
            raise UsageError(
                f"{path} is of another training ({key} was {saved.get(key)!r}, now {asked.get(key)!r}); choose another "
                "folder or delete it"
            )
    fill(network.predictors, state, str(path))
    return ClosedForm(state, solved, held["r_squared"])
