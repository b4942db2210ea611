"""Rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from pathlib import Path

import pytest

import robonas

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(robonas.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_files_are_short_documented_and_do_not_print(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a file says in one line what it is"
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "print" not in calls


@pytest.mark.parametrize("catalogue", ["METRICS", "SPACES", "STRATEGIES"])
def test_catalogues_are_sorted_and_keys_are_names(catalogue) -> None:
    entries = getattr(robonas, catalogue)
    assert list(entries) == sorted(entries)
    assert all(entry.name == name for name, entry in entries.items())


def test_nothing_unpickles() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "weights_only=False" not in text, path
        assert "allow_pickle=True" not in text, path


def rooms() -> set[str]:
    """The folders of the source with Python files in them, and the files beside them."""
    folders = {f"{path.parent.relative_to(SOURCE).as_posix()}/" for path in FILES if path.parent != SOURCE}
    files = {path.name for path in FILES if path.parent == SOURCE and not path.name.startswith("__")}
    return folders | files


def test_the_map_in_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| room |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_/]+(?:\.py)?)`", "\n".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert named == rooms()


def imports() -> dict[str, set[str]]:
    """Every module with the modules of the house that it imports, for types too."""
    names = {
        ".".join(("robonas", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in FILES
    }
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("robonas"):
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                found[name] |= {part if part in names else node.module for part in parts} - {name}
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: targets - {"robonas"} for name, targets in imports().items() if name != "robonas"}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_the_contract_names_every_room() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {room.strip(" ()") for layer in layers for room in layer.split("|")} - {"__main__"}
    assert named == {room.rstrip("/").removesuffix(".py") for room in rooms() if room.count("/") < 2}
