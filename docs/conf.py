"""Sphinx configuration.  `make docs` builds without network access and treats warnings as errors."""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "pgtheory"
author = "The pgtheory authors"
copyright = "2026, the pgtheory authors"
release = version = "0.1.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "claims", "mathml", "picture", "public"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
nitpicky = False  # annotations name arrays of numpy and flint, which have no pages here
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries = False

html_theme = "alabaster"
html_math_renderer = "mathml"
html_title = "pgtheory"
html_static_path = ["_static"]
html_css_files = ["pgtheory.css"]
html_copy_source = False
html_theme_options = {
    "description": "The theory of policy gradients, run against itself",
    "fixed_sidebar": True,
    "page_width": "1100px",
    "body_max_width": "820px",
}
