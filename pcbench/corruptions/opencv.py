"""OpenCV, or one line that says why it cannot be loaded.

`opencv-python`, which imagecorruptions asks for, needs libraries of a graphical desktop, which containers often lack.
`opencv-python-headless` holds the same functions without them. Both write the folder `cv2`, so one replaces the other.
"""

from __future__ import annotations

from pcbench.errors import LibraryError

try:
    import cv2
except (ImportError, AttributeError) as error:  # the latter of two builds, of which one lies over the other
    raise LibraryError(
        f"OpenCV cannot be loaded ({error}); replace it: pip uninstall -y opencv-python opencv-python-headless; "
        "pip install opencv-python-headless"
    ) from error

__all__ = ["cv2"]
