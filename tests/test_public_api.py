"""What is public is a fact: each name resolves, is documented, and importing costs nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import robonas


@pytest.mark.parametrize("name", sorted(set(robonas.__all__) - {"__version__"}))
def test_every_public_name_resolves_and_says_what_it_is(name) -> None:
    thing = getattr(robonas, name)
    assert name in dir(robonas)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = robonas.serch


def test_importing_robonas_loads_nothing_heavy() -> None:
    code = (
        "import sys, robonas, robonas.errors, robonas.architecture\n"
        "heavy = {'torch', 'numpy', 'pandas', 'optuna', 'ray', 'plotly', 'matplotlib', 'botorch', 'sklearn', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["robonas.study.loop", "robonas.cli.app", "robonas.scores.scoring", "robonas.strategies"]
)
def test_no_plotting_and_no_ray_until_they_are_used(module) -> None:
    code = (
        f"import sys, {module}\nprint(sorted({{'ray', 'plotly', 'matplotlib', 'botorch', 'timm'}} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
