"""The report in a real browser: it draws, sorts, copies, fits a phone, and asks for nothing."""

from __future__ import annotations

import itertools
import os
import shutil
import time

import pytest
from tests.experiments import toy
from tests.report import sample
from tests.report.test_front import traded
from tests.report.test_learned import known

from robonas.experiments import run_experiment
from robonas.report import write_experiment, write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"needs Chromium: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return {
        "usual": write_report(
            sample.result(20, n_explored=8),
            folder / "usual.html",
            baselines=[sample.random_baseline(20)],
            wall_seconds=200,
        ),
        "front": write_report(traded(), folder / "front.html"),
        "markup": write_report(sample.hostile(), folder / "markup.html"),
        "none": write_report(sample.result(queries=()), folder / "none.html"),
        "failed": write_report(sample.result(3, failures=(1, 2, 3)), folder / "failed.html"),
        "known": write_report(known(sample.result(20, n_explored=8)), folder / "known.html"),
        "experiment": _experiment(folder / "experiment.html"),
    }


def _experiment(path):
    tasks = [toy.task("one"), toy.task("two", seed=1)]
    results = run_experiment(tasks, ["average_rank", "local_search"], budget=5, seeds=2)
    return write_experiment(results, path, tasks=tasks)


@pytest.fixture
def visit(browser):
    """Open a page; at the end, it has asked for nothing and complained of nothing."""
    contexts, trouble = [], []

    def go(path, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.on(
            "request", lambda request: request.url == path.as_uri() or trouble.append(f"request: {request.url[:99]}")
        )
        page.goto(path.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert trouble == []


CHARTS = {"usual": 5, "markup": 4, "none": 1, "failed": 3, "experiment": 3}
"""How many charts each page has: with nothing queried, the weights; with nothing completed, no agreement, no size."""


@pytest.mark.parametrize("name", CHARTS)
def test_all_charts_are_drawn(visit, pages, name):
    page = visit(pages[name])
    drawn = page.locator("[data-chart] svg.main-svg:first-of-type")
    assert drawn.count() == CHARTS[name]
    assert page.evaluate(
        "[...document.querySelectorAll('[data-chart]')].every(e => e.querySelectorAll('svg path').length > 3)"
    )
    assert page.evaluate("window.hacked") is None


def test_marks_are_as_many_as_queries(visit, pages):
    page = visit(pages["usual"])
    assert page.locator("[data-chart=progress] .points path").count() == 40  # the failed one and the baseline's too
    assert page.locator("[data-chart=weights] .bars .point").count() == len(sample.METRICS)
    assert page.locator("[data-chart=weights] .scatterlayer .points path").count() == len(sample.METRICS)
    assert page.locator("[data-chart=size] .points path").count() == 19
    assert page.locator("[data-chart=agreement] .points path").count() == 19
    assert page.locator("[data-chart=curves] .scatterlayer .js-line").count() == 20
    assert page.locator("svg.cell circle").count() == 4
    assert page.locator("svg.cell rect").count() == 6


BEYOND = """() => [document.documentElement, ...document.querySelectorAll(".main-svg")]
  .map((part) => Math.max(part.getBoundingClientRect().right, part === document.documentElement ? part.scrollWidth : 0))
  .filter((right) => right > window.innerWidth)"""
"""The right ends of what is wider than the window."""


def settled(page, faults: str) -> list[object]:
    """The faults that are still there when the charts have followed the window, which takes a busy machine a while."""
    end = time.monotonic() + 20
    page.wait_for_timeout(200)
    while (found := page.evaluate(faults)) and time.monotonic() < end:
        page.wait_for_timeout(100)
    return found


@pytest.mark.parametrize("name", ["usual", "markup", "none", "known", "experiment"])
def test_nothing_hangs_out_sideways(visit, pages, name):
    page = visit(pages[name])
    for width in (1280, 768, 380):
        page.set_viewport_size({"width": width, "height": 900})
        assert settled(page, BEYOND) == []


def column(page, place):
    return page.locator(f"#queries-table tbody td:nth-child({place})").evaluate_all(
        "cells => cells.map(c => c.dataset.sort)"
    )


def test_a_click_sorts_and_another_turns(visit, pages):
    page = visit(pages["usual"])
    heading = page.locator("#queries-table th").nth(1)
    assert column(page, 1) == [str(number) for number in range(1, 21)]
    heading.locator("button").click()
    values = column(page, 2)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values[-1] == ""  # the failed one stays last
    assert [float(value) for value in values[:-1]] == sorted(float(value) for value in values[:-1])
    heading.locator("button").press("Enter")
    turned = column(page, 2)
    assert heading.get_attribute("aria-sort") == "descending"
    assert turned[-1] == ""
    assert [float(value) for value in turned[:-1]] == sorted((float(value) for value in turned[:-1]), reverse=True)
    page.locator("#queries-table th").nth(0).locator("button").click()
    assert column(page, 1) == [str(number) for number in range(1, 21)]
    assert heading.get_attribute("aria-sort") is None


def test_texts_sort_as_texts(visit, pages):
    page = visit(pages["usual"])
    page.locator("#queries-table th").nth(2).locator("button").click()
    phases = column(page, 3)
    assert phases == sorted(phases)
    assert set(phases) == {"explore", "exploit"}


def colour_of(page, selector, what):
    return page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")


def test_dark_and_light_follow_the_reader(visit, pages):
    page = visit(pages["usual"], scheme="dark")
    line = "[data-chart=progress] .scatterlayer .js-line >> nth=1"
    assert colour_of(page, "body", "backgroundColor") == "rgb(21, 24, 28)"
    assert colour_of(page, line, "stroke") == "rgb(233, 230, 224)"
    page.emulate_media(color_scheme="light")
    playwright.expect(page.locator(line)).to_have_css("stroke", "rgb(29, 33, 39)")
    assert colour_of(page, "body", "backgroundColor") == "rgb(251, 250, 247)"


def test_paper_is_light(visit, pages):
    page = visit(pages["usual"], scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert colour_of(page, "body", "backgroundColor") == "rgb(251, 250, 247)"
    assert colour_of(page, "[data-chart=progress] .scatterlayer .js-line >> nth=1", "stroke") == "rgb(29, 33, 39)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert colour_of(page, "[data-chart=progress] .scatterlayer .js-line >> nth=1", "stroke") == "rgb(233, 230, 224)"


def test_copying_gives_the_architecture_itself(visit, pages):
    page = visit(pages["usual"])
    page.locator("[data-copy=winner-text]").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == sample.result(20, n_explored=8).text


def test_every_part_has_a_name(visit, pages):
    page = visit(pages["usual"])
    levels = page.locator("h1, h2, h3").evaluate_all("headings => headings.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.locator("[role=img]:not([aria-label]):not([aria-labelledby])").count() == 0
    assert page.locator("table.data:not(:has(caption))").count() == 0
    assert page.locator("table.data th:not([scope])").count() == 0
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_query_is_one_line_and_a_click_shows_its_architecture(visit, pages):
    page = visit(pages["usual"])
    heights = page.locator("#queries-table tbody tr").evaluate_all("rows => rows.map(r => r.offsetHeight)")
    assert max(heights) < 48
    assert max(heights) - min(heights) <= 2
    code = page.locator("#queries-table td.arch code").first
    assert code.get_attribute("title") == code.text_content()
    code.click()
    assert page.locator("#queries-table tbody tr").first.evaluate("row => row.offsetHeight") > 48


TOUCHING = """() => {
  const hit = (a, b) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const words = ".xtick text, .ytick text, .annotation-text, .legendtext, .g-xtitle text";
  return [...document.querySelectorAll("[data-chart]")].flatMap((chart) => {
    const boxes = [...chart.querySelectorAll(words)].map((label) => [label.textContent, label.getBoundingClientRect()]);
    const pairs = boxes.flatMap((one, i) => boxes.slice(i + 1).map((other) => [one, other]));
    return pairs.filter(([[, a], [, b]]) => hit(a, b)).map(([[one], [other]]) => one + " | " + other);
  });
}"""
"""The labels of charts that lie on each other."""


def test_on_a_phone_the_value_is_seen_and_no_labels_touch(visit, pages):
    page = visit(pages["known"], 380)
    value = page.locator("#queries-table tbody td.value").first.bounding_box()
    assert value["x"] + value["width"] <= 380
    best = page.locator(".facts dd").first.bounding_box()
    assert best["y"] < 420
    assert settled(page, TOUCHING) == []


def test_the_next_commands_are_copied_as_they_are(visit, pages):
    page = visit(pages["usual"])
    page.locator("[data-copy=step-1]").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#step-1").text_content()


@pytest.mark.skipif(
    "ROBONAS_SCREENSHOTS" not in os.environ, reason="pictures are taken where ROBONAS_SCREENSHOTS names a folder"
)
def test_pictures(visit, pages):
    folder = os.environ["ROBONAS_SCREENSHOTS"]
    for name, path in pages.items():
        for width, scheme in ((1280, "light"), (1280, "dark"), (380, "light"), (380, "dark")):
            visit(path, width, scheme).screenshot(path=f"{folder}/{name}-{width}-{scheme}.png", full_page=True)


def test_the_slider_shows_the_best_network_at_most_at_a_cost(visit, pages) -> None:
    page = visit(pages["front"])
    result = traded()
    cheapest_first = list(reversed(result.front))
    shown = page.locator("[data-step]:not([hidden])")
    slider = page.locator("#at-most")
    assert shown.count() == 1
    assert str(result.knee.number) in shown.inner_text()
    slider.focus()
    page.keyboard.press("Home")
    assert f"query {cheapest_first[0].number}" in shown.inner_text()
    assert page.locator("#at-most-told").inner_text() == result.axes[0].told(cheapest_first[0].costs[0])
    page.keyboard.press("End")
    assert f"query {cheapest_first[-1].number}" in shown.inner_text()
    assert shown.locator("svg.cell").count() == 1
