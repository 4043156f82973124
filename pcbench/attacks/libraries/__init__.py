"""One module for each attack library, with the library's name; its `make` turns a definition into an adapter.

To add a library, add its module here, and definitions that name it: nothing else lists the libraries. A module is
imported, with its library, when an attack needs it.
"""

from __future__ import annotations

import pkgutil

FUNCTION = "function"
"""The module that runs a function of the user's own, which stands among the libraries."""


def library_names() -> tuple[str, ...]:
    """Return the names of the libraries that have a module here, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
