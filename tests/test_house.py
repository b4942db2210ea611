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


_VERBS = """
Add Adopt Answer Apply Ask Assemble Be Begin Build Call Cancel Change Check Choose Compare Compute Connect Count
Create Crop Cut Do Draw Drop End Escape Evaluate Export Feed Fill Find Forget Fork Free Give Go Group Hand Handle
Have Hold Import Join Judge Keep Lay Leave Let List Load Lock Log Look Make Map Mark Measure Mirror Mix Name Note
Open Pass Predict Prepare Print Propose Put Raise Read Recall Recognise Record Refer Refuse Reject Release Remember
Remove Repair Replay Report Resize Restore Return Run Save Say Scale Scatter Score Search See Seed Send Set Share
Show Silence Skip Sort Stand Start Stop Summarise Take Tell Train Try Turn Undo Update Use Wait Walk Warn Watch Work
Write Yield
"""
VERBS = frozenset(_VERBS.split())
"""First words of the summaries of functions: each says what its function does. A new verb is welcome here."""
ENTRY = re.compile(r"(?:Of|What|Whether|Where|How|When|Who|Why|As|Such|That)\b")
NO_NOUN = re.compile(r"(?:Of|What|Where|How|When|Who|Why|As|Such|That)\b")
"""Beginnings of sentences that do not name the thing itself."""
SECTIONS = {"Args", "Attributes", "Returns", "Raises", "Yields", "Example", "Examples", "Note", "Notes", "Rules"}


def entries(docstring: str) -> list[str]:
    """The entries of the sections "Args" and "Attributes" of a docstring in Google's style, each without its name."""
    found: list[str] = []
    indent = None
    within = False
    for line in docstring.splitlines():
        if line.strip().removesuffix(":") in SECTIONS and line.strip().endswith(":"):
            within, indent = line.strip() in {"Args:", "Attributes:"}, None
        elif within and line.strip():
            indent = indent or len(line) - len(line.lstrip())
            name, colon, text = line.strip().partition(": ")
            if colon and len(line) - len(line.lstrip()) == indent and re.fullmatch(r"\**[\w.]+(?: \(.*\))?", name):
                found.append(text)
    return found


def hard_sentences(tree: ast.AST) -> list[str]:
    """Docstrings that a stranger must read twice, as "line: sentence"."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            continue
        text = ast.get_docstring(node) or ""
        summary = text.partition("\n")[0]
        line = getattr(node, "lineno", 1)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        named = [ast.unparse(entry) for entry in node.decorator_list] if function else []
        is_property = any(entry.rpartition(".")[2] in {"property", "cached_property"} for entry in named)
        if (function and not is_property and summary and summary.split(" ")[0].rstrip(",") not in VERBS) or (
            not function and NO_NOUN.match(summary)
        ):
            found.append(f"{line}: {summary}")
        found += [f"{line}: {entry}" for entry in entries(text) if ENTRY.match(entry)]
    return found + sorted(hard_notes(tree))


def hard_notes(tree: ast.AST) -> set[str]:
    """Texts below an attribute or a constant that do not name it, as "line: sentence"."""
    docstrings = {
        id(node.body[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) and node.body
    }
    return {
        f"{node.lineno}: {text}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if id(node) not in docstrings and NO_NOUN.match(text := node.value.value.partition("\n")[0])
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_sentences_begin_with_what_matters(path) -> None:
    assert hard_sentences(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_hard_sentences_are_found() -> None:
    text = '''
class Good:
    """A table."""

    @functools.cached_property
    def size(self):
        """The size."""

    def weigh(self, name, n):
        """What it weighs.

        Args:
            name: Of the table,
                where: it stands.
            n: Number of legs.
            more (int): Whether it has more.

        Returns:
            total: What is not an argument.
        """


class Bad:
    """What nobody understands."""

    legs: int
    """How many legs."""

    def height(self):
        """Height of the table."""
'''
    assert hard_sentences(ast.parse(text)) == [
        "23: What nobody understands.",
        "9: What it weighs.",
        "9: Of the table,",
        "9: Whether it has more.",
        "29: Height of the table.",
        "27: How many legs.",
    ]


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


def room_of(module: str) -> str:
    """The room of a module: its folder, or its file."""
    path = module.removeprefix("robonas.").replace(".", "/")
    return max((room.rstrip("/") for room in rooms() if f"{path}/".startswith(room)), key=len, default=path)


def test_imports_between_rooms_have_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, targets in imports().items():
        if name != "robonas":
            room = room_of(name)
            graph.setdefault(room, set()).update({room_of(target) for target in targets - {"robonas"}} - {room})
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_the_contract_names_every_room() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {room.strip(" ()") for layer in layers for room in layer.split("|")} - {"__main__"}
    assert named == {room.rstrip("/").removesuffix(".py") for room in rooms() if room.count("/") < 2}
