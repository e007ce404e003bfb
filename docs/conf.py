"""Sphinx settings of the manual. Build it with: sphinx-build -W -b html docs docs/_build/html"""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import pages  # noqa: E402

project = "neurosnn"
author = "The neurosnn developers"
copyright = author
release = version = metadata.version("neurosnn")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas need no network
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "images", "generated/examples", "README.md"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions
html_theme = "furo"
html_title = f"neurosnn {version}"
html_static_path = ["static"]
html_css_files = ["manual.css"]
templates_path: list[str] = []

numpydoc_show_class_members = False
autodoc_member_order = "groupwise"
autodoc_typehints = "none"
autosummary_generate = False
# the reference of neurosnn.torch needs the names of PyTorch, not PyTorch itself
autodoc_mock_imports = [] if find_spec("torch") else ["torch"]

sphinx_gallery_conf = {
    "examples_dirs": "generated/examples",
    "gallery_dirs": "generated/gallery",
    # Those of seconds; the others have a picture of thumbnails.py and are run by the tests.
    "filename_pattern": r"01_stdp_window|02_train|04_curves|eventprop_in_brian2|tensorboard_log",
    "ignore_pattern": r"demo\.py|__init__\.py",
    "reset_argv": lambda _, variables: ["--output", str(HERE / "generated" / "output")],
    "first_notebook_cell": "# No options: a notebook has none of its own to pass on.\n"
    "import sys\nsys.argv = ['example']\n%matplotlib inline",
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e6,
    "within_subsection_order": "FileNameSortKey",
}


def skip_fields(app, what, name, thing, skip, options):
    """Fields of named tuples are in the list of attributes already."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def setup(app):
    """Write the pages that are made by the code before Sphinx looks for pages."""
    pages.write_all(HERE)
    app.connect("autodoc-skip-member", skip_fields)
    # the formulas of what a notebook shows are no equations of Sphinx's
    app.set_html_assets_policy("always")
