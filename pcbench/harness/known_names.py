"""What a request names is looked for before PyTorch is loaded, so that a typo is told within a second."""

from __future__ import annotations

import os
from pathlib import Path

from pcbench.catalog import suite_folder
from pcbench.data.names import refuse_missing_data
from pcbench.errors import DefinitionError
from pcbench.harness.request import RunOptions
from pcbench.models.naming import no_such_weights, refuse_unknown_model


def refuse_unknown_names(request: RunOptions) -> None:
    """Refuse a model, a suite, data or a file that is not there; what they hold is looked at when they are opened.

    Raises:
        UnknownNameError: No model, suite or data source has the name.
        UsageError: A file or folder is not there, or a name is written otherwise.
    """
    if request["spec"] is not None:
        return  # a saved plan has its own names
    if isinstance(request["model"], str):
        refuse_unknown_model(request["model"])
    for suite in request["suites"]:
        suite_folder(suite)
    if isinstance(request["data"], str):
        refuse_missing_data(request["data"])
    if _absent(request["backbone_weights"]):
        raise no_such_weights(Path(str(request["backbone_weights"])))
    for asked in (request["configuration"], request["baseline"]):
        if _absent(asked):
            raise DefinitionError(str(asked), "there is no such file")


def _absent(path: Path | str | None) -> bool:
    # A home folder is found when the file is opened.
    return path is not None and not str(path).startswith("~") and not os.path.lexists(path)
