"""Sphinx configuration. `make docs` builds offline and fails on every warning."""

import re
from pathlib import Path

_VERSION = Path(__file__).parents[1] / "easel" / "_version.py"

project = "Easel"
author = "The Easel authors"
project_copyright = "The Easel authors, Apache 2.0"
release = re.findall(r'= "([^"]+)"', _VERSION.read_text())[0]

extensions = ["myst_parser"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "attrs_inline"]
exclude_patterns = ["pages/README.md"]
suppress_warnings = ["myst.header"]  # a decision starts with its title and may skip a level
highlight_language = "text"

html_theme = "furo"
html_title = f"Easel {release}"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["easel.css"]
