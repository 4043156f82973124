"""Models: the zoo, networks of the user's own, and their weights. Importing this loads no other library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcbench.models.zoo import default_data, zoo_listing, zoo_names

if TYPE_CHECKING:
    from pcbench.models.loading import load
    from pcbench.models.model import Model

__all__ = ["Model", "default_data", "load", "zoo_listing", "zoo_names"]


if not TYPE_CHECKING:  # a type checker knows the names above, and reports others

    def __getattr__(name: str) -> Any:
        # PyTorch is imported when a model is first asked for, not when models are listed.
        if name == "load":
            from pcbench.models.loading import load

            return load
        if name == "Model":
            from pcbench.models.model import Model

            return Model
        raise AttributeError(f"module 'pcbench.models' has no attribute {name!r}")
