"""Runs the examples, photographs what they write, and writes the gallery's page; `make gallery` runs it.

It needs Chromium on the PATH. The runs are kept in ``build/gallery``, where a second call finds them done.
"""

from __future__ import annotations

import contextlib
import html
import io
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "build" / "gallery"
PICTURES = ROOT / "docs" / "_static" / "gallery"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
WIDTH = 760
"""Pixels of the window: a chart then has letters as large as the site's."""


@dataclass(frozen=True)
class Picture:
    """A picture of one part of a page that a run has written."""

    name: str
    selector: str
    """The part, for a browser."""
    title: str
    caption: str


@dataclass(frozen=True)
class Run:
    """A command, the page that it writes, and the pictures to take of that."""

    name: str
    title: str
    about: str
    command: str
    page: str
    pictures: tuple[Picture, ...]


CODE = """\
data = robonas.load_dataset("digits")
shapes = {"input_shape": data.input_shape, "n_classes": data.n_classes}
space = robonas.NASBench201(**shapes, channels=4, depth=1)
objective = robonas.TrainingObjective(data, epochs=2, batch_size=128)
result = robonas.search(space, objective, pool=200, budget=8, folder="digits-search")
result"""
"""The code of the cell: the tutorial's search."""
CELL = """<!doctype html><meta charset="utf-8"><style>
:root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif; }
body { margin: 0; background: light-dark(#fff, #14171a); }
#cell { display: grid; grid-template-columns: 4.5rem minmax(0, 1fr); gap: .6rem .8rem; padding: 1rem; width: 860px; box-sizing: border-box; }
.prompt { white-space: nowrap; color: light-dark(#5a6470, #9aa4b0); font-family: monospace; text-align: right; padding-top: .45rem; }
pre { margin: 0; padding: .4rem .7rem; border: 1px solid light-dark(#d8dde3, #39414a); border-radius: .3rem; background: light-dark(#f6f8fa, #1d2126); }
</style><div id="cell"><div class="prompt">In [1]:</div><pre>CODE</pre><div class="prompt">Out[1]:</div><div>OUTPUT</div></div>"""
"""A cell of a notebook, by itself: the code, and what Jupyter shows of its value."""


def chart(name: str, title: str, caption: str) -> Picture:
    """Return the picture of one of a report's charts."""
    return Picture(name, f"[data-chart={name}]", title, caption)


RUNS_OF_THE_GALLERY = (
    Run(
        "demo",
        "The demo: digits, twenty trainings",
        "600 cells of NAS-Bench-201 were scored by eleven cheap metrics, and 20 of them trained for 12 epochs on 15 % of the "
        "images; beside it, random search with as many trainings. It is what `make demo` runs.",
        "robonas search examples/demo.toml --compare random",
        "report.html",
        (
            chart("progress", "The search, query by query", "Lines: the best so far. Dots: what each query found."),
            Picture(
                "winner",
                "#winner svg.cell",
                "The winner",
                "Each node adds up what arrives; dashed edges change nothing.",
            ),
            chart(
                "weights",
                "What was learned about the metrics",
                "A negative weight: lower values of that metric went with better networks, given the others. Diamonds: each "
                "metric by itself.",
            ),
            chart(
                "agreement",
                "The combined score against the value",
                "Only candidates that were trained, so it does not tell the correlation over the whole pool.",
            ),
            chart("size", "Accuracy against size", "The line joins the networks that no smaller one beats."),
            chart("curves", "Learning curves", "Every training; the winner is bold."),
        ),
    ),
    Run(
        "trade-off",
        "A trade-off: accuracy against size",
        "The whole front in one search, with the settings of the demo and half of its epochs: see "
        "[trade the value off against a cost](how-to/trade-offs.md).",
        "robonas search examples/demo.toml --against params --epochs 6",
        "report.html",
        (
            chart(
                "front",
                "The front",
                "The line is the best that was found at most at each size. Pale dots were not trained: their value is "
                "predicted from the metrics, and may be wrong.",
            ),
            chart("hypervolume", "The front, query by query", "The volume between the front and a fixed point."),
        ),
    ),
    Run(
        "experiment",
        "An experiment on a published table",
        "Three strategies on 711 networks of TransNAS-Bench-101, whose values are known, so that nothing is trained: see "
        "[compare strategies](how-to/compare-strategies.md).",
        "robonas experiment --table benchmarks/tables/tnb101-micro-class_scene.parquet --objective val_metric --strategy "
        "auto,robot,random --budget 20 --seeds 10 --half-pools",
        "report.html",
        (
            chart(
                "progress-0",
                "The best so far",
                "Mean rank over ten seeds, each on a random half of the table; 1 is the best network of that half. The band is the standard error; dashed: each metric alone.",
            ),
        ),
    ),
)


def run(each: Run) -> Path:
    """Run a command where it has not been run, and return its page."""
    folder = RUNS / each.name
    words = [*shlex.split(each.command)[1:], "--folder", str(folder)]
    subprocess.run([sys.executable, "-m", "robonas", *words], cwd=ROOT, check=True)
    return folder / each.page


def photograph(browser: Browser, page: Path, each: Run) -> None:
    """Take the pictures of a page, by day and by night."""
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": WIDTH, "height": 1000}, color_scheme=scheme, device_scale_factor=2
        )
        opened = context.new_page()
        opened.goto(page.as_uri())
        opened.wait_for_timeout(1500)  # the charts are drawn
        for picture in each.pictures:
            shot = opened.locator(picture.selector).first.screenshot()
            image = Image.open(io.BytesIO(shot)).convert("RGB")
            image.save(PICTURES / f"{each.name}-{picture.name}-{scheme}.webp", quality=82, method=6)
        context.close()


def photograph_cell(browser: Browser) -> None:
    """Run the cell of a notebook, and take the picture of it with what Jupyter shows of its value, by day and by night."""
    import robonas

    names: dict[str, Any] = {"robonas": robonas}
    *lines, last = CODE.splitlines()
    with contextlib.chdir(RUNS):
        exec("\n".join(lines), names)
        shown = eval(last, names)._repr_html_()
    page = RUNS / "cell.html"
    page.write_text(CELL.replace("CODE", html.escape(CODE)).replace("OUTPUT", shown), encoding="utf-8")
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, device_scale_factor=2)
        opened = context.new_page()
        opened.goto(page.as_uri())
        image = Image.open(io.BytesIO(opened.locator("#cell").screenshot())).convert("RGB")
        image.save(PICTURES / f"notebook-cell-{scheme}.webp", quality=82, method=6)
        context.close()


def page_of(runs: tuple[Run, ...]) -> str:
    """Return the gallery's page."""
    parts = [
        "<!-- Written by docs/make_gallery.py, which also takes the pictures; run `make gallery` to take them anew. -->\n",
        "# Gallery\n",
        "Every picture is a part of a page that the command above it wrote: the report of a search, or of an "
        "experiment. In these pages, charts answer to the pointer; here they are still. One search proves little: see "
        "[which strategy](how-to/choose.md#which-strategy) for what was measured over many.\n",
    ]
    for each in runs:
        shown = each.command if len(each.command) < 85 else each.command.replace(" --", " \\\n    --")
        parts += [f"## {each.title}\n", f"{each.about}\n", f"```sh\n{shown}\n```\n"]
        for picture in each.pictures:
            parts += [
                f"### {picture.title}\n",
                f"![{picture.title}](_static/gallery/{each.name}-{picture.name}-light.webp)\n",
                f"*{picture.caption}*\n",
            ]
    parts += [
        "## A search in a notebook\n",
        "A cell whose last line is a result shows it: the facts of the winner, and the value of every query. See "
        "[your first search](tutorial/first-search.md).\n",
        "![A cell of a notebook with a search, and its result with a picture](_static/gallery/notebook-cell-light.webp)\n",
    ]
    return "\n".join(parts)


def main() -> None:
    """Run the examples, take the pictures, and write the page; with ``--pictures``, take them of runs that are there."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if program is None:
        sys.exit("The pictures need Chromium on the PATH.")
    again = "--pictures" not in sys.argv
    made = [(each, run(each) if again else RUNS / each.name / each.page) for each in RUNS_OF_THE_GALLERY]
    for old in PICTURES.glob("*.webp"):
        old.unlink()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS)
        for each, page in made:
            photograph(browser, page, each)
        photograph_cell(browser)
        browser.close()
    (ROOT / "docs" / "gallery.md").write_text(page_of(RUNS_OF_THE_GALLERY), encoding="utf-8")


if __name__ == "__main__":
    main()
