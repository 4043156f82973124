"""The photographs of frost.

They belong to the authors of ImageNet-C and come with the package imagecorruptions, on which pcbench depends: they
are read from the installed package when frost is asked for, and are not part of pcbench. The package itself is not
imported for that, since its import fails on today's setuptools.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcbench.corruptions.opencv import cv2
from pcbench.errors import DataError

# ImageNet-C brings a sixth picture and never draws it.
_FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
TEXTURES = len(_FILES)
# A texture smaller than the image is enlarged until it is this much larger, so that there is a piece to choose.
_MARGIN = 1.1
_REMEDY = "install it with: pip install imagecorruptions"


@functools.lru_cache(maxsize=2 * TEXTURES)
def frost_texture(index: int, scale: float, height: int, width: int) -> NDArray[np.uint8]:
    """Return one photograph of frost, scaled.

    Args:
        index: 0 to 4.
        scale: Factor of its sides.
        height: Rows it must exceed.
        width: Columns it must exceed.

    Returns:
        (3, rows, columns), red, green, blue.

    Raises:
        DataError: imagecorruptions is not installed, or lacks its pictures.
    """
    picture = cv2.imread(str(frost_folder() / _FILES[index]))
    if picture is None:
        raise DataError(f"{frost_folder()} lacks {_FILES[index]}; {_REMEDY}")
    rows, columns = picture.shape[:2]
    factor = max(scale, _MARGIN * height / rows, _MARGIN * width / columns)
    size = (int(np.ceil(columns * factor)), int(np.ceil(rows * factor)))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(scaled[..., ::-1].transpose(2, 0, 1), dtype=np.uint8)


def frost_folder() -> Path:
    """Return the folder of the photographs.

    Raises:
        DataError: imagecorruptions is not installed.
    """
    spec = importlib.util.find_spec("imagecorruptions")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"frost needs the photographs of the package imagecorruptions; {_REMEDY}")
    return Path(spec.submodule_search_locations[0]) / "frost"
