"""Settings of the site; `make docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import robonas

project = "robonas"
author = "The robonas developers"
copyright = "the robonas developers, Apache-2.0"
version = release = robonas.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "sphinx_copybutton",
    "fill_in",
]
exclude_patterns = ["README.md", "_build"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
root_doc = "index"

# Docstrings: Google's sections; a word in single backticks is code, and a link where it is a public name.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # What every subclass has is told once, on the page of the class that says it.
    "inherited-members": "Module,SearchSpace,Strategy,Objective,Mapping,dict,tuple,Enum,Exception,object",
}
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Rules", "notes_style"), ("Source", "notes_style")]
napoleon_use_rtype = False
python_use_unqualified_type_names = True

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a filled-in page may begin a level deeper

# Notebooks run from nothing in each build; one that fails ends the build.
nb_execution_mode = "force"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # the log of libraries

html_theme = "furo"
html_title = "robonas"
html_baseurl = ""
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#8ab8f0", "color-brand-content": "#8ab8f0"},
}
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
