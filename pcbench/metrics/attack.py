"""Success of attacks and robust accuracy.

An image that is misclassified from the start is not attacked: it counts as an error at every ε in `robust_accuracy`
and is left out of the success rates, whose eligible images therefore differ from timestep to timestep. What is
compared between timesteps is robust accuracy, or the success rate over the images correct at all of them.

Source: robust accuracy as in RobustBench (Croce et al., NeurIPS Datasets and Benchmarks 2021, arXiv 2010.09670), at
every timestep; success rates over the images that were right before, after Carlini et al., 2019, arXiv 1902.06705.
"""

from __future__ import annotations

import functools

import numpy as np

from pcbench.errors import UsageError
from pcbench.metrics.rates import CONFIDENCE, Booleans, Estimate, Floats, rate


def attack_success_rate(success: Booleans, attacked: Booleans, correct_before: Booleans) -> Estimate:
    """Return the success rate at exactly one ε, over the images classified correctly before.

    It need not grow with ε: a single FGSM step can overshoot.

    Args:
        success: Shape (images,); whether the attack reached its goal at exactly this ε.
        attacked: Shape (images,); whether it ran on the image at this ε.
        correct_before: Shape (images,); whether the clean image is classified correctly at this timestep.

    Raises:
        UsageError: Some correct image was not attacked at this ε (the sweep stops at an image's first success), or
            no image is correct.
    """
    if not bool(attacked[correct_before].all()):
        raise UsageError("not every image was attacked at this epsilon; run a plain sweep for rates at exactly epsilon")
    return rate(success, correct_before)


def attack_success_rate_within(success_within: Booleans, correct_before: Booleans) -> Estimate:
    """Return the share of images broken at ε or at a smaller ε of the sweep, among those correct before.

    Args:
        success_within: Shape (images,).
        correct_before: Shape (images,); whether the clean image is classified correctly at this timestep.

    Raises:
        UsageError: No image is correct before.
    """
    return rate(success_within, correct_before)


def attack_success_rate_common(success_within: Booleans, correct_before: list[Booleans]) -> Estimate:
    """Return the success rate within ε over the images that are correct at every compared timestep.

    Args:
        success_within: Shape (images,), of one timestep.
        correct_before: One array of shape (images,) for each compared timestep.

    Raises:
        UsageError: No image is correct at all of them.
    """
    return rate(success_within, np.logical_and.reduce(correct_before))


def median_distance(distances: Floats) -> Estimate:
    """Return the median distance from images to the nearest adversarial images that an attack found.

    It is the measure of minimal-norm attacks; of an attack with fixed budgets it is the distance found at the first
    budget that broke the image, and so an upper bound.

    Args:
        distances: Shape (images,), at least one; infinite where none was found.

    Returns:
        The median (the lower one of an even number of images) with the distribution-free 95 % interval of order
        statistics (H. A. David and H. N. Nagaraja, "Order Statistics", 2003, section 7.1); an end is infinite where
        too few images were broken to say, or too few images are there.
    """
    ordered = np.sort(distances)
    images = len(ordered)
    # The number of images below the true median is binomial; at most 2.5 % lies beyond either end.
    last_below = _lower_quantile(images) - 1
    low = ordered[last_below] if last_below >= 0 else 0.0
    high = ordered[images - 1 - last_below] if last_below >= 0 else np.inf
    return Estimate(float(ordered[(images - 1) // 2]), float(low), float(high), images)


@functools.cache
def _lower_quantile(images: int) -> int:
    from scipy.stats import binom  # its import takes as long as a third of PyTorch's

    return int(binom.ppf((1 - CONFIDENCE) / 2, images, 0.5))


def robust_accuracy(correct: list[Booleans]) -> Estimate:
    """Return the share of all images that stay correct at every ε up to the last one given.

    Args:
        correct: One array of shape (images,) for each ε of the sweep, from the smallest to the ε asked for.

    Raises:
        UsageError: There are no images.
    """
    return rate(np.logical_and.reduce(correct))
