"""Where the command line begins: that a library cannot be loaded is one line, and no traceback.

The verbs are imported inside, since libraries that do not fit each other fail when they are imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pcbench.shadows import UNLOADABLE, not_loaded, unloadable


def run_command_line() -> None:
    """Run the command line; see `pcbench.cli.main`."""
    try:
        from pcbench.cli.main import main
    except UNLOADABLE as error:
        library = unloadable(error)
        if library is None or "--debug" in sys.argv:
            raise
        print(f"pcbench: {not_loaded(library, error)}", file=sys.stderr)
        sys.exit(end_without_library(sys.argv[1:]))
    main()


def end_without_library(words: Sequence[str]) -> int:
    """Return the exit code where a library cannot be loaded; the doctor alone is at work even there.

    Args:
        words: Of the command line.
    """
    if words[:1] != ["doctor"]:
        return 2
    try:
        from pcbench.doctor.examination import findings
    except UNLOADABLE:  # as where a module of Python's own is hidden; the line above names it
        return 1
    for one in findings():
        print(f"{one.topic}: {one.name}: {one.found} [{one.state}]")
        if one.remedy is not None:
            print(f"  do this: {one.remedy}")
    return 1
