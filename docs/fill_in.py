"""Fills pages of the site from the code, at the places that a comment marks, so that none of it is kept by hand.

A page says ``<!-- fill: public study report -->`` for the public names of these rooms, ``<!-- fill: commands -->``
for the commands and their options, ``<!-- fill: file CHANGELOG.md -->`` for a page of the repository, ``<!-- fill: pages -->`` for the table of
all pages, and ``<!-- fill: terms -->`` above a table that becomes a glossary. Read elsewhere, such as in the repository's browser, a page lacks
these parts and nothing else; a line that begins with ``>`` above the mark tells such readers where to look, and is left out of the site.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import robonas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

MARK = re.compile(r"^(?:> .*\n\n)?<!-- fill: (\w+) ?(.*?) -->\n", re.MULTILINE)
TABLE = re.compile(r"<!-- fill: terms -->\n+\| term \| meaning \|\n\|---\|---\|\n((?:\|.*\|\n)+)")
KINDS = ("function", "class", "exception", "data")


# ── public names ──


def names_of(room: str) -> list[str]:
    """Return the public names that live in a room of the house, such as ``"spaces"``, sorted as people would."""
    homes = {name: home.partition(".")[0] for name, home in robonas._HOMES.items()}
    return sorted((f"robonas.{name}" for name, home in homes.items() if home == room), key=str.lower)


def public(words: str) -> Iterator[str]:
    """Yield the docstrings of all public names of some rooms, and of the names that a word with a dot gives.

    A word that ends in ``.*`` stands for all that its module exports.
    """
    names: list[str] = []
    for word in words.split():
        if word.endswith(".*"):
            module = importlib.import_module(f"robonas.{word[:-2]}")
            names += [f"{module.__name__}.{name}" for name in module.__all__]
        else:
            names += [f"robonas.{word}"] if "." in word else names_of(word)
    found = {name: load(name) for name in names}
    ordered = sorted(found, key=lambda name: KINDS.index(kind_of(found[name])))
    yield from ("| | |", "|---|---|")
    for name in ordered:
        yield f"| {{py:obj}}`{name.removeprefix('robonas.')} <{name}>` | {_summary(found[name])} |"
    yield ""
    for name in ordered:
        yield from ("```{eval-rst}", *_directive(name, found[name]), "```", "")


def load(name: str) -> Any:
    """Return what a dotted name stands for."""
    module, _, own = name.rpartition(".")
    return getattr(importlib.import_module(module), own)


def kind_of(value: Any) -> str:
    """Return the kind of a public name's value: function, class, exception or data."""
    if isinstance(value, type):
        return "exception" if issubclass(value, Exception) else "class"
    return "function" if callable(value) else "data"


def _summary(value: Any) -> str:
    if kind_of(value) == "data":
        return "The catalogue, by name."
    first = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
    return first.replace("``", "`").replace("|", "\\|").replace("*", "\\*")


def _directive(name: str, value: Any) -> Iterator[str]:
    kind = kind_of(value)
    if kind != "data":
        yield f".. auto{kind}:: {name}"
        return
    yield from (f".. py:data:: {name}", "")
    yield f"   The catalogue: a dictionary from each name to its entry. Names: {', '.join(f'``{key}``' for key in value)}."


# ── the command line ──


def commands(_: str) -> Iterator[str]:
    """Yield a section for each command: its usage, what it does, and a table of the options under each heading."""
    from typer.main import get_command

    from robonas.cli.app import app

    program: Any = get_command(app)
    context = program.make_context("robonas", [], resilient_parsing=True)
    yield from _section(program, context, "robonas")
    yield from _below(program, context)


def _below(group: Any, context: Any, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(command, "commands"):
            yield from _below(command, inner, f"{path}{name} ")
        else:
            yield from _section(command, inner, f"{path}{name}")


def _section(command: Any, context: Any, title: str) -> Iterator[str]:
    from robonas.cli.help import sections

    yield from (f"## {title}", "", "```text", command.get_usage(context), "```", "")
    yield from (*inspect.cleandoc(command.help or "").splitlines(), "")
    for heading, records in sections(command, context).items():
        rows = [(left, right) for left, right in records if left != "--help"]
        if rows:
            yield from (f"| {heading} | |", "|---|---|")
            yield from (f"| `{_cell(left)}` | {_cell(right)} |" for left, right in rows)
            yield ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


# ── the glossary ──


def terms(text: str) -> str:
    """Return a page whose table of terms is a glossary, which the site's search knows."""

    def as_glossary(match: re.Match[str]) -> str:
        rows = [[cell.strip() for cell in row.strip("|\n").split("|", 1)] for row in match[1].splitlines()]
        entries = [
            "\n".join([*term.split(", "), f"  {meaning.removesuffix('|').strip()}", ""]) for term, meaning in rows
        ]
        return "\n".join(["```{glossary}", *entries, "```", ""])

    return TABLE.sub(as_glossary, text)


# ── pages from elsewhere ──


def file(path: str) -> Iterator[str]:
    """Yield a page of the repository that is not in this folder, such as ``CHANGELOG.md``."""
    text = (Path(__file__).parents[1] / path).read_text(encoding="utf-8")
    yield re.sub(r"\]\((?:\.\./)*docs/", "](/", text)


def pages(_: str) -> Iterator[str]:
    """Yield the table of the pages that the folder's README has."""
    yield from (
        line for line in (Path(__file__).parent / "README.md").read_text("utf-8").splitlines() if line[:1] == "|"
    )


def by_night(text: str) -> str:
    """Return a page whose pictures by day (``…-light.webp``) each have the one by night beside them.

    The theme shows the one that fits.
    """
    return re.sub(
        r"^!\[(.*)\]\((.*)-light\.webp\)$",
        r"![\1](\2-light.webp){.only-light}\n![\1](\2-dark.webp){.only-dark}",
        text,
        flags=re.MULTILINE,
    )


# ── Sphinx ──

FILLINGS = {"public": public, "commands": commands, "file": file, "pages": pages}
"""What a mark may ask for."""
ELSEWHERE = {"benchmarks/tables/README.md": "/about/published-tables.md"}
"""Pages of the repository outside of this folder, and where the site has them."""


def fill(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Fill a page at its marks, before it is parsed."""
    text = MARK.sub(lambda match: "\n".join(FILLINGS[match[1]](match[2])) + "\n", terms(source[0]))
    for place, page in ELSEWHERE.items():
        text = re.sub(rf"\]\((?:\.\./)*{re.escape(place)}\)", f"]({page})", text)
    source[0] = by_night(text)


def resolve(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """Return the link to a public name that was written without its place, as in annotations of types."""
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in robonas.__all__:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"robonas.{name}", node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call this file."""
    app.connect("source-read", fill)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
