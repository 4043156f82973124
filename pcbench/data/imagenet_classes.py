"""ImageNet's 1,000 classes (ILSVRC2012): labels, WordNet ids and names, from the lists of timm and torchvision."""

from __future__ import annotations

from functools import lru_cache

IMAGENET_CLASSES = 1000


@lru_cache(maxsize=1)
def imagenet_labels() -> dict[str, int]:
    """Return the label, 0 to 999, of each of ImageNet's WordNet ids, in the order of labels (timm's list)."""
    from timm.data.imagenet_info import ImageNetInfo

    return {name: label for label, name in enumerate(ImageNetInfo().label_names())}


def imagenet_names() -> tuple[str, ...]:
    """Return the names of ImageNet's classes by label, synonyms joined by commas (timm's list)."""
    from timm.data.imagenet_info import ImageNetInfo

    return tuple(ImageNetInfo().label_descriptions())


def torchvision_names() -> tuple[str, ...]:
    """Return torchvision's names of ImageNet's classes by label, one each."""
    from torchvision.models import VGG16_Weights

    return tuple(VGG16_Weights.IMAGENET1K_V1.meta["categories"])
