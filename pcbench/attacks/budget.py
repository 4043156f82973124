"""The ball around each image: clipping to it and measuring what was really changed."""

from __future__ import annotations

import torch
from torch import Tensor

from pcbench.attacks.definitions import Norm

# foolbox's guard against dividing by the norm of a zero tensor; the same value keeps the two bit-identical.
SMALLEST_NORM = 1e-12


def l2_norms(tensor: Tensor) -> Tensor:
    """Return each image's L2 norm, (batch,), never 0; summed the way foolbox does it."""
    return tensor.flatten(1).square().sum(dim=-1).sqrt().clamp_min(SMALLEST_NORM)


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Shape one value an image (batch,) so that it broadcasts over images (batch, …), in their type."""
    return values.to(images).reshape(-1, *[1] * (images.ndim - 1))


def project(images: Tensor, clean: Tensor, epsilons: Tensor, norm: Norm) -> Tensor:
    """Move images into the balls around the clean ones.

    Args:
        images: (batch, channels, height, width).
        clean: The centres, the same shape.
        epsilons: Radii, (batch,).
        norm: L∞ clips every pixel; L2 shortens the perturbation.

    Returns:
        The nearest images in the balls, to float32 rounding; they may lie outside [0, 1].
    """
    perturbation = images - clean
    radius = per_image(epsilons, images)
    if norm == "linf":
        return clean + torch.clamp(perturbation, -radius, radius)
    shrink = epsilons.to(images) * l2_norms(perturbation).reciprocal()
    return clean + perturbation * per_image(shrink.clamp(max=1), images)


def within_budget(images: Tensor, clean: Tensor, epsilons: Tensor, norm: Norm) -> Tensor:
    """Return what of an attack's output may be fed to the network: inside the ball and inside [0, 1].

    A pixel that the attack made NaN or infinite becomes the clean one.
    """
    finite = torch.where(torch.isfinite(images), images, clean)
    return project(finite, clean, epsilons, norm).clamp(0, 1)


def perturbation_norms(images: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Measure perturbations.

    Returns:
        L∞ and L2 norms, each (batch,), float64, in pixel units of images in [0, 1].
    """
    difference = (images.double() - clean.double()).flatten(1)
    return difference.abs().amax(dim=1), difference.square().sum(dim=1).sqrt()
