"""Every Python block of the documentation runs, page by page, and the README's too."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if path.is_file() and "```python" in path.read_text(encoding="utf-8")
)
LONG = {
    f"docs/how-to/{name}.md"
    for name in ("trade-offs", "from-laptop-to-cluster", "prune-hopeless-trainings", "follow-a-search")
}
"""Pages whose blocks take long, with others that show the same calls."""
BLOCK = re.compile(r"^```python(?: needs=(?P<needs>\w+))?\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
"""A block of Python; one that needs a package is run where that is installed."""


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page in LONG else page for page in PAGES]
)
def test_page_runs(page, tmp_path, monkeypatch) -> None:
    run(page, tmp_path, monkeypatch, extras=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if " needs=" in (ROOT / page).read_text(encoding="utf-8")])
def test_page_runs_with_the_packages_that_are_installed(page, tmp_path, monkeypatch) -> None:
    run(page, tmp_path, monkeypatch, extras=True)


def run(page, tmp_path, monkeypatch, *, extras: bool) -> None:
    """Run the blocks of a page one after the other; with `extras`, those too that need a package."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    prepare = getattr(Prepare, Path(page).stem.replace("-", "_"), None)
    if prepare:
        prepare(tmp_path)
    names: dict = {"__name__": "page"}
    for match in BLOCK.finditer(text):
        needs = match["needs"]
        if needs and not (extras and importlib.util.find_spec(needs)):
            continue
        line = text[: match.start("code")].count("\n")
        with warnings.catch_warnings():
            if needs:
                warnings.simplefilter("ignore")  # of packages that we do not keep
            exec(compile("\n" * line + match["code"], page, "exec"), names)


class Prepare:
    """What a page expects to find in the current folder."""

    @staticmethod
    def README(folder: Path) -> None:  # noqa: N802
        """Forty small photographs of two kinds."""
        import numpy as np
        from PIL import Image

        generator = np.random.default_rng(0)
        for kind, shade in (("cats", 60), ("dogs", 180)):
            (folder / "photos" / kind).mkdir(parents=True)
            for number in range(20):
                pixels = generator.integers(shade - 50, shade + 50, (12, 12, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "photos" / kind / f"{number}.png")


def test_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.pages().items():
        assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == text, f"run `make reference`: {name}"


def test_pages_were_found() -> None:
    assert "docs/tutorial/first-search.md" in PAGES
    assert "README.md" in PAGES


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_examples_are_settings_that_the_command_line_takes(path) -> None:
    import tomllib

    from typer.main import get_command

    from robonas.cli.app import app

    group = get_command(app)
    tables = tomllib.loads(path.read_text(encoding="utf-8")).keys() & {"score", "search", "train"}
    for name in tables or {"search"}:
        with group.make_context("robonas", [], resilient_parsing=True) as context:
            command = group.commands[name]
            assert command.make_context(name, [str(path)], parent=context).params["config"] == path


def test_links_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?://|#|mailto:)([^)#]+)")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in link.findall(path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
