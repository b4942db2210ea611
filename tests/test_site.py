"""The site of the documentation: what its pages take from the code and from each other is there."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import robonas

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def load(name: str) -> Any:
    """A file of the folder ``docs``, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


fill_in = load("fill_in")


def filled(page: str) -> str:
    source = [(DOCS / page).read_text(encoding="utf-8")]
    fill_in.fill(None, page, source)
    return source[0]


# ── the Python pages ──


def test_every_public_name_has_its_docstring_on_a_page() -> None:
    text = "\n".join(filled(path.relative_to(DOCS).as_posix()) for path in (DOCS / "reference" / "api").glob("*.md"))
    placed = re.findall(r"^\.\. (?:auto\w+|py:data):: robonas\.(\w+)$", text, re.MULTILINE)
    assert sorted(placed) == sorted(set(robonas.__all__) - {"__version__"})


def test_a_mark_that_asks_for_nothing_known_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill_in.fill(None, "page", ["<!-- fill: nonsense -->\n"])


def test_links_to_pages_outside_lead_to_the_sites_own() -> None:
    assert "](/about/published-tables.md)" in filled("how-to/compare-strategies.md")
    for page in fill_in.ELSEWHERE.values():
        assert (DOCS / page.lstrip("/")).is_file()


# ── the command line ──


def test_every_command_and_option_is_on_the_page_of_the_command_line() -> None:
    from typer.main import get_command

    from robonas.cli.app import app

    def commands(group: Any, path: str):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, f"{path} {name}")
            else:
                yield f"{path} {name}", command

    shown = filled("reference/command-line.md")
    for path, command in commands(get_command(app), "robonas"):
        section = shown.partition(f"\n## {path.removeprefix('robonas ')}\n")[2].partition("\n## ")[0]
        assert section, f"docs/reference/command-line.md lacks `{path}`"
        for option in (each for each in command.params if each.param_type_name == "option" and not each.hidden):
            assert option.opts[-1] in section


def test_the_extras_are_those_of_the_package() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", filled("how-to/install.md"), re.MULTILINE)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = text.partition("[project.optional-dependencies]\n")[2].partition("\n\n")[0]
    assert rows == re.findall(r"^(\w+) = .*# (.*)$", listed, re.MULTILINE)
    names = [name for name, _ in rows]
    assert names == [name for name in tomllib.loads(text)["project"]["optional-dependencies"] if name != "all"]


def test_what_tells_readers_of_the_repository_where_to_look_is_not_in_the_site() -> None:
    raw = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert "> This list is written when the site is built" in raw
    assert "when the site is built" not in filled("reference/command-line.md")


# ── the glossary ──


def test_the_glossary_has_every_term_of_the_table() -> None:
    table = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| (?!term \|)([a-z][^|]*?) \|", table, re.MULTILINE)
    shown = filled("reference/glossary.md")
    assert "```{glossary}" in shown
    assert "| term |" not in shown
    assert len(terms) > 20
    assert all(f"\n{name}\n" in shown for term in terms for name in term.split(", "))


# ── troubleshooting ──


def messages() -> list[str]:
    """Every text in the code, with "…" for what is put in."""
    found = []
    for path in Path(robonas.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


HEADINGS = re.findall(r"^### (.*)$", (DOCS / "how-to" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
MESSAGES = messages()


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_code_has_every_message_that_is_explained(heading) -> None:
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in heading.split("…")), re.DOTALL)
    assert any(pattern.search(message) for message in MESSAGES)


def test_enough_messages_are_explained() -> None:
    assert len(HEADINGS) > 40
    assert len(set(HEADINGS)) == len(HEADINGS)


# ── how to choose ──


def test_the_figures_of_how_to_choose_are_those_that_were_measured() -> None:
    sources = " ".join(path.read_text(encoding="utf-8") for path in (DOCS / "explanation").glob("*.md"))
    figures = re.findall(r"[\d.,]+(?: / [\d.,]+){2,}", (DOCS / "how-to" / "choose.md").read_text(encoding="utf-8"))
    assert len(figures) > 8
    assert [figure for figure in figures if figure.rstrip(",. ") not in sources] == []


# ── citation ──


def test_the_citation_is_that_of_the_file_for_tools() -> None:
    page = (DOCS / "about" / "citation.md").read_text(encoding="utf-8")
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for title in re.findall(r'title: "(.*)"', cff):
        if title.startswith("International"):
            continue
        assert title in page
    for name in re.findall(r"family-names: (\w+)", cff):
        assert f"{name}," in page
    assert f"version = {{{robonas.__version__}}}" in page
    assert f"version: {robonas.__version__}" in cff


# ── notebooks ──


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_results(path) -> None:
    """The site's build runs them; kept results would grow old, and make every run a change."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        ast.parse("".join(line for line in cell["source"] if not line.startswith("%")))


# ── gallery ──


def test_the_gallery_shows_what_its_script_makes() -> None:
    playwright = pytest.importorskip("playwright")
    assert playwright is not None
    gallery = load("make_gallery")
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery.page_of(gallery.RUNS_OF_THE_GALLERY)
    wanted = {
        f"{run.name}-{picture.name}-{scheme}.webp"
        for run in gallery.RUNS_OF_THE_GALLERY
        for picture in run.pictures
        for scheme in ("light", "dark")
    } | {f"notebook-cell-{scheme}.webp" for scheme in ("light", "dark")}
    assert {path.name for path in gallery.PICTURES.glob("*")} == wanted
