"""Write the pages that are made from the code: `python -m pcbench.cli.pages`, in the folder of the repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pcbench import files
from pcbench.cli.json_page import json_page
from pcbench.cli.names_page import names_page
from pcbench.cli.options_page import options_page
from pcbench.cli.pages.api import api_page
from pcbench.cli.pages.commands import commands_page
from pcbench.cli.pages.environment import environment_page
from pcbench.cli.pages.errors import errors_page
from pcbench.cli.pages.formats import formats_page
from pcbench.cli.pages.network_files import network_files_page
from pcbench.cli.pages.study_files import study_files_page
from pcbench.cli.pages.suite_files import attacks_readme, corruptions_readme, suite_files_page

PAGES: Mapping[str, Callable[[], str]] = {
    "attacks/README.md": attacks_readme,
    "corruptions/README.md": corruptions_readme,
    "docs/reference/api.md": api_page,
    "docs/reference/commands.md": commands_page,
    "docs/reference/environment.md": environment_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/formats.md": formats_page,
    "docs/reference/json.md": json_page,
    "docs/reference/names.md": names_page,
    "docs/reference/network_files.md": network_files_page,
    "docs/reference/options.md": options_page,
    "docs/reference/study_files.md": study_files_page,
    "docs/reference/suite_files.md": suite_files_page,
}
"""Every page that is made from the code, by its file."""


if __name__ == "__main__":
    for name, make in PAGES.items():
        files.write(Path(name), make().encode())
