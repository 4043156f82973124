"""The words of the field that a page uses, each explained in one sentence."""

from __future__ import annotations

import html
import re

_UNREAD = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
"""What of a page is not read as text."""
_MEANINGS = (
    (
        "timestep t",
        r"\bt = \d",
        (
            "The number of updates by feedback and prediction errors that the network has made "
            "before it answers; t = 0 is the feedforward network alone."
        ),
    ),
    (
        "[low, high]",
        r"\[[+−]?\d",
        "A 95 % interval: of intervals made in this way for many samples of images, about 95 % hold the true value.",
    ),
    ("points", r"\bpoints\b", "Percentage points, the difference between two percentages."),
    ("paired", r"\bpaired\b", "Both sides answer the same images, so only images on which they differ count."),
    (
        "p",
        r"\bp (?:=|≤|<|is)|<>p<>",
        (
            "How likely a difference at least as large is where there is none in truth; a finding "
            "is called clear at 0.05 or less."
        ),
    ),
    ("Holm", r"\bHolm\b", "A correction that makes each p larger, the more comparisons are made together."),
    ("Wilson", r"\bWilson\b", "An interval for a share of images."),
    ("Bonett and Price", r"\bBonett\b", "An interval for the difference of two shares of the same images."),
    (
        "BCa bootstrap",
        r"\bBCa\b",
        (
            "An interval from drawing the images again and again with replacement, corrected for "
            "bias and skew (bias-corrected and accelerated)."
        ),
    ),
    (
        "arm",
        r"\barms?\b",
        "What the network is compared with in a study: a control or another setting, measured on the same images.",
    ),
    (
        "training seed",
        r"\btraining seeds?\b",
        "What draws the images, the beginning and the batches of one training of the predictors.",
    ),
    (
        "primary",
        r"\b[Pp]rimary\b",
        "Named in the study's file, beforehand, as a comparison that decides; all others are exploratory.",
    ),
    ("severity", r"\bseverit", "How strongly a corruption changes an image, from 1 to at most 5."),
    (
        "CE, corruption error",
        r"\bCE\b",
        "The errors under one corruption, summed over its severities, in % of the same sum of the baseline.",
    ),
    ("mCE", r"\bmCE\b", "The mean of the CE of 15 corruptions."),
    ("baseline", r"\bbaseline\b|\bCE\b", "The network whose errors are 100 % in every CE; its name stands at the CE."),
    ("at chance", r"\bat chance\b", "An accuracy that is not above that of guessing."),
    ("ε", r"ε", "The budget of an attack: how far it may change an image."),
    ("L∞", r"L∞", "The norm in which the largest change of a pixel's value counts, in units of the range of pixels."),
    ("L2", r"\bL2\b", "The norm in which the root of the summed squares of all changes counts."),
    (
        "attack success rate",
        r"\bsuccess rate\b",
        "The share of the images answered rightly without an attack whose answer the attack makes wrong.",
    ),
    (
        "robust accuracy",
        r"\b[Rr]obust accuracy\b",
        "The share of all images that are answered rightly and stay so at every ε up to the one stated.",
    ),
    ("worst case", r"\bworst case\b", "Of each image the attack of the suite that does most harm to it."),
    ("white-box", r"\bwhite-box\b", "The attack uses the gradient of the network."),
    ("black-box", r"\bblack-box\b", "The attack sees the answers of the network alone."),
    (
        "exact gradient",
        r"\bexact gradient\b|<>exact<>",
        "The true derivative of the answer with respect to the image, through all updates.",
    ),
    ("stop error gradient", r"\bstop error\b", "A gradient that leaves out the path through the prediction errors."),
    ("untargeted", r"\buntargeted\b", "Any wrong answer is a success of the attack."),
    ("targeted", r"(?<!un)\btargeted\b", "Only one wrong answer, chosen before, is a success of the attack."),
    (
        "checked",
        r"(?<!not )(?<!spot-)\bchecked\b",
        (
            "The attack that the verdicts name was compared with rivals and no sign of broken gradients was found at "
            "these timesteps, which does not say that every other attack and ε is strong."
        ),
    ),
    (
        "gradients suspicious",
        r"\bgradients suspicious\b",
        (
            "A sign of broken gradients was found, so the attack may "
            "fail for that reason and not because the network is robust."
        ),
    ),
    (
        "not checked",
        r"\bnot checked\b|\bNot checked\b",
        "Nothing is known of the gradients, so a low success rate may only mean that the attack is weak.",
    ),
    ("cheap form", r"\bcheap form\b", "Checks on at most 32 images, with fewer rivals and draws than the full form."),
    (
        "judged attack",
        r"\bjudged\b",
        "The suite's strongest attack of several steps along gradients, which the rivals are compared with.",
    ),
    ("plain_pgd", r"\bplain_pgd\b", "PGD of 10 steps on a few images, which is run for the checks alone."),
    ("transfer", r"\b[Tt]ransfer\b", "Images made against one timestep are answered at another."),
    (
        "PCoder",
        r"\bPCoders?\b",
        "A layer of the network whose representation predicts the layer below and is updated at every timestep.",
    ),
    ("representation", r"\brepresentations?\b", "The activations of a PCoder at one timestep."),
    (
        "correlation distance",
        r"\bcorrelation distance\b",
        "One minus the correlation of two representations: 0 where they are alike.",
    ),
    ("subset", r"\ba subset of\b", "The suite was run on a part of the images of the data."),
    (
        "fingerprint",
        r"\bfingerprint\b",
        "A hash of the ids, labels and bytes of the images: equal ones mean equal images.",
    ),
    ("key", r"\bkey of the run\b", "A hash of everything that can change a number of the run."),
    ("plain sweep", r"\bplain sweep\b", "Every image is attacked at every ε, also at those above one that broke it."),
    (
        "bracketing",
        r"\bbracketing\b",
        (
            "Budgets far out of reach of an attack are skipped, and a tenth of these "
            "attacks are run nevertheless as a spot check."
        ),
    ),
    ("spot-checked", r"\bspot-checked\b", "Run although it would have been skipped, to see that nothing is missed."),
    ("recompute", r"\brecompute\b", "Attacks take less memory and more time."),
)
"""A word, the pattern by which it is found, and its meaning, in the order in which a reader meets them."""


def used_words(page: str) -> list[tuple[str, str]]:
    """Return the words that the text of a page uses, each with its meaning.

    Args:
        page: The HTML of the page.
    """
    text = re.sub(r"\s+", " ", html.unescape(_UNREAD.sub("<>", page)))
    return [(word, meaning) for word, pattern, meaning in _MEANINGS if re.search(pattern, text)]
