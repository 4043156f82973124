"""How well predictors predict: R² on held-out images, as it is written down and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pcbench.network.network import PredictiveNetwork
from pcbench.training.closed_form import Solved
from pcbench.training.reconstructing import pcoder_name
from pcbench.training.settings import Method

NOT_THE_PAPERS = "denoising predictors: from noisy representations to the clean layer below; not the paper's method"
"""What every output says of them."""


@dataclass(frozen=True)
class Fitted:
    """How the predictors of a network were fitted, and what they reach."""

    method: Method
    """How they learned."""
    names: tuple[str, ...]
    """What messages call each, such as ``"PCoder 2 (layer2)"``."""
    r_squared: tuple[float, ...]
    """Of each, on held-out images; see `pcbench.training.reconstructing.Spread`."""
    measured_on: str
    """These images, in words."""
    solved: tuple[Solved, ...] = ()
    """How each was solved; none where they learned by steps alone."""
    denoising: bool = False
    """Whether they predict the layer below without the noise that they see."""

    @property
    def poor(self) -> tuple[str, ...]:
        """The predictors that are worse than predicting each channel's mean."""
        return tuple(name for name, value in zip(self.names, self.r_squared, strict=True) if not value >= 0)

    @property
    def ways(self) -> tuple[str, ...]:
        """How each was fitted, in words."""
        return tuple(one.told for one in self.solved) or (self.method,) * len(self.names)

    @property
    def metadata(self) -> dict[str, Any]:
        """What is written with the weights."""
        found: dict[str, Any] = {
            "method": self.method,
            "r_squared": [round(value, 4) for value in self.r_squared],
            "r_squared_on": self.measured_on,
        }
        return {**found, "denoising": NOT_THE_PAPERS} if self.denoising else found

    @property
    def record(self) -> dict[str, Any]:
        """What the card says besides."""
        return {"solved": [asdict(one) for one in self.solved], "pcoders": list(self.names)}

    @classmethod
    def from_record(cls, card: dict[str, Any]) -> Fitted | None:
        """Return what a card says; None where it is of a version that measured no R²."""
        if "r_squared" not in card:
            return None
        return cls(
            card["method"],
            tuple(card["pcoders"]),
            tuple(card["r_squared"]),
            card["r_squared_on"],
            tuple(Solved(**one) for one in card["solved"]),
            "denoising" in card,
        )


def measured_on(count: int, name: str, noise: Sequence[float]) -> str:
    """Return the words for what R² was measured on, and against."""
    drawn = f" with noise of {', '.join(f'{one:g}' for one in noise)} on e_0" if noise else ""
    return f"{count} held-out images of {name}{drawn}, against each channel's own mean over them"


def names_of(network: PredictiveNetwork) -> tuple[str, ...]:
    """Return what messages call the PCoders of a network."""
    return tuple(pcoder_name(network, index) for index in range(len(network.predictors)))
