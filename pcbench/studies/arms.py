"""The arms of a study: what stands beside the network in a comparison, and what each one shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NETWORK = "network"
PLAIN_NETWORK = "feedforward"
BLUR: Literal["input-blur"] = "input-blur"
PAPER_WEIGHTS = (0.8, 0.1, 0.01)
"""β, λ and α of the paper (Choksi et al. 2021, arXiv 2106.02749), with scaled errors."""


@dataclass(frozen=True)
class Arm:
    """One arm: how it differs from the network."""

    title: str
    """What it is, for readers of a table."""
    shows: str
    """What a difference from it says."""
    without: Literal["feedback", "error_weight"] | None = None
    """The weight that its tuning keeps at 0."""
    objective: str | None = None
    """What it is tuned for, where that is not the study's objective."""
    control: Literal["misplaced-feedback", "smoothed", "input-blur"] | None = None
    """The change of its configuration (`pcbench.network.controls`)."""
    random: bool = False
    """Its predictors are random."""
    tuned: bool = True
    """Whether its β, λ and α are tuned."""
    timeless: bool = False
    """Whether it answers at t = 0 alone."""
    trained: bool = True
    """Whether it has the trained predictors of its seed."""
    denoising: bool = False
    """Whether its predictors are trained on noisy images, to predict the clean layer below."""


ARMS: Mapping[str, Arm] = {
    NETWORK: Arm("the network, tuned for the study's objective", "what is asked about"),
    PLAIN_NETWORK: Arm(
        "the same backbone at t = 0", "what time does at all", tuned=False, timeless=True, trained=False
    ),
    "no-feedback": Arm("λ = 0, the rest tuned", "what feedback does", without="feedback"),
    "no-error": Arm("α = 0, the rest tuned", "what the error term does", without="error_weight"),
    "random-predictors": Arm("random predictors, tuned", "what trained predictors do", random=True, trained=False),
    "paper": Arm("β, λ, α of the paper, scaled errors", "what tuning does", tuned=False),
    "tuned-clean": Arm("tuned for clean images", "what noise in the tuning does", objective="clean"),
    "tuned-noise": Arm("tuned for noise, with labels and noise", "what a tuning for noise does", objective="noise"),
    BLUR: Arm(
        "a Gaussian blur before the plain network, its width tuned",
        "what feedback does that a blur does not",
        control=BLUR,
        timeless=True,
        trained=False,
    ),
    "misplaced-feedback": Arm(
        "each prediction's positions permuted, tuned",
        "whether feedback must be in its place",
        control="misplaced-feedback",
    ),
    "smoothed": Arm(
        "each representation blurred in place of feedback, tuned",
        "whether predictions do more than smoothing",
        control="smoothed",
    ),
    "denoising": Arm(
        "predictors trained on noisy images to predict the clean layer below, tuned",
        "what the predictors' training does",
        denoising=True,
    ),
    "longer": Arm("the network at a later T of its own, tuned for it", "what more timesteps do"),
    "deeper": Arm(
        "a deeper feedforward network, timed beside the others",
        "whether the time is better spent on depth",
        tuned=False,
        timeless=True,
        trained=False,
    ),
}
"""All arms by name."""


def run_name(arm: str, seed: int | None) -> str:
    """Return the name of the folder of an arm's run, in the folder of its suite."""
    return arm if seed is None else f"{arm}-seed-{seed}"
