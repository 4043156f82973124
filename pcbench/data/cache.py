"""The folder in which downloads are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for downloads: `$PCBENCH_CACHE`, else `pcbench` in the user's cache folder.

    The user's cache folder is `$XDG_CACHE_HOME`, else `~/.cache`. The folder is not made here.
    """
    if own := os.environ.get("PCBENCH_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pcbench"
