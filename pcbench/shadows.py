"""Which files hide modules of Python or of an installed library, and what failed where a library cannot be loaded.

Nothing is imported here but Python's smallest modules: it is asked where others cannot be loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

UNLOADABLE = (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError, LookupError, SystemError)
"""What the import of a library that does not fit this machine, or another library, has been seen to raise."""
_OURS = "pcbench"


def shadows() -> Iterator[tuple[str, str, str]]:
    """Yield each module of Python's own that a file of the user hides: its name, that file, and the remedy.

    Folders that PYTHONPATH names, and the folder of a script, come before Python's own.
    """
    own = os.path.dirname(os.__file__)  # noqa: PTH120  # pathlib may be what is hidden
    for entry in sys.path:
        if os.path.abspath(entry or ".") == os.path.abspath(own):  # noqa: PTH100
            return
        try:
            names = sorted(os.listdir(entry or "."))  # noqa: PTH208
        except OSError:  # an archive, or not there
            continue
        for name in names:
            module, _, ending = name.partition(".")
            file = os.path.join(entry or ".", name)  # noqa: PTH118
            if module in sys.stdlib_module_names and (ending == "py" or _is_package(file)):
                yield module, file, f"rename {file}, or take its folder out of PYTHONPATH"


def _is_package(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "__init__.py"))  # noqa: PTH113, PTH118


def unloadable(error: BaseException) -> str | None:
    """Return the library whose import an error ended, or None where it was raised by something else.

    Args:
        error: As it was caught: its traceback says which modules were being imported. Where one library imports
            another, it is the inner one.
    """
    ours, found, traceback = False, None, error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if ours and frame.f_code.co_name == "<module>" and top not in (_OURS, "__main__"):
            found = top
        ours = ours or top == _OURS
        traceback = traceback.tb_next
    if found is not None:
        return found
    asked = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return asked if asked not in ("", _OURS) else None


def not_loaded(library: str, error: BaseException) -> str:
    """Return in one line that a library cannot be loaded, why, and what to do."""
    why = " ".join(str(error).split())[:300] or type(error).__name__
    for name, file, remedy in shadows():
        return f"{library} cannot be loaded: {file} hides Python's own module {name}; {remedy}"
    return f"{library} cannot be loaded ({why}); `pcbench doctor` looks at all libraries and says what to do"
