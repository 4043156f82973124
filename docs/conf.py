"""How Sphinx makes the site of these pages; `python docs/build.py` runs it."""

import os
import sys
from pathlib import Path

import pcbench

sys.path[:0] = [str(Path(__file__).parent)]

project = "pcbench"
author = "the pcbench developers"
project_copyright = author
version = release = pcbench.__version__

# repository_links: a link to a file outside docs/ leads to it on GitHub too, where nothing of docs/ is built.
extensions = ["myst_nb", "repository_links"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
# The notebook is shown as it is stored; tests/docs/test_notebook.py executes it.
nb_execution_mode = "off"
exclude_patterns = ["_static"]
nitpicky = True

myst_heading_anchors = 6
myst_heading_slug_func = "github"
repository_address = os.environ.get("PCBENCH_REPOSITORY", "")

html_theme = "furo"
html_title = f"pcbench {release}"
html_static_path = ["_static"]
html_css_files = ["pcbench.css"]
html_js_files = ["pcbench.js"]
html_copy_source = False
html_show_sphinx = False

linkcheck_timeout = 10
linkcheck_retries = 2
linkcheck_ignore = [r"https://github\.com/OWNER/", r"https://example\.org"]  # placeholders
