"""Sphinx's settings: `make docs` builds the site into docs/_build, and a warning is an error."""

import os
import sys
from pathlib import Path

# Read when numpy and torch are first imported, by the extensions below. The models of pages are small; threads on cores
# that other work shares spin as they wait: the page on criticality took 48 s of processor time, not 6.4 s.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "initlab"
extensions = [
    "myst_parser", "sphinx-mathjax-offline", "sphinx.ext.autodoc", "sphinx.ext.napoleon",
    "executed", "gallery", "korean", "tables", "links", "reference", "scheme_pages", "recipe_pages",
]  # fmt: skip
default_role = "code"
autodoc_typehints = "none"
autodoc_preserve_defaults = True  # the name of a table, not all that is in it
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source"]
myst_enable_extensions = ["dollarmath", "attrs_inline", "attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_ext", "_static"]
html_theme = "furo"
html_title = "initlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("reach.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_dark_style = "monokai"

extensions.insert(extensions.index("links"), "playground_page")  # links are looked at once every page stands
