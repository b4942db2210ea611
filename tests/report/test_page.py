"""The page as text: complete, escaped, self-contained, and there in every case."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import robonas
from robonas.errors import ConfigError
from robonas.report import render, write_report
from robonas.strategies.base import Summary
from robonas.study.query import Work
from robonas.study.shown import facts_of
from tests.report import sample
from tests.report.test_learned import known

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


class Reader(HTMLParser):
    """Texts, identifiers and links of a page; fails on an element that is closed out of turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.attributes, self.words = [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(text)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))


def read(result, **options):
    return Reader(render(result, **options))


def with_nan(result):
    frame = result.scores.frame.copy()
    frame[["snip", "fisher"]] = np.nan
    frame["reason:snip"] = "no convolution"
    merged = np.full(len(frame), np.nan)
    return replace(result, scores=replace(result.scores, frame=frame), summary=replace(result.summary, combined=merged))


CASES = {
    "usual": sample.result(20, n_explored=8),
    "one query": sample.result(1, failures=()),
    "one failed query": sample.result(1, failures=(1,)),
    "two queries": sample.result(2, failures=(), n_explored=1),
    "none": sample.result(queries=(), summary=Summary(n_explored=0)),
    "none completed": sample.result(5, failures=(1, 2, 3, 4, 5)),
    "pruned": sample.result(20, pruned=(7, 12)),
    "all pruned or failed": sample.result(3, failures=(1,), pruned=(2, 3)),
    "a hundred": sample.result(100, n_explored=30, n_pool=150),
    "loss": sample.result(12, minimise=True),
    "no weights": sample.random_baseline(),
    "no metrics": replace(sample.random_baseline(), scores=sample.table(120, metrics=())),
    "undefined scores": with_nan(sample.result()),
    "markup": sample.hostile(),
    "no curves": replace(sample.result(), queries=tuple(replace(query, curve=()) for query in sample.result().queries)),
}


@pytest.mark.parametrize("case", CASES)
def test_page_of(case):
    result = CASES[case]
    page = read(result)
    assert len(page.ids) == len(set(page.ids))
    anchors = {value[1:] for _, name, value in page.attributes if name == "href" and value.startswith("#")}
    assert anchors <= set(page.ids)
    for _, name, value in page.attributes:
        if name in {"aria-labelledby", "data-copy"}:
            assert set(value.split()) <= set(page.ids)
    for query in result.queries:
        assert query.architecture in page.text
        assert query.failure is None or re.sub(r"\s+", " ", query.failure) in page.text
    for name in result.scores.metrics:
        assert name in page.text


@pytest.mark.parametrize("case", CASES)
def test_charts_are_there_where_there_is_something_to_draw(case):
    result = CASES[case]
    text = render(result)
    content = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)[1]
    figures = json.loads(content, parse_constant=pytest.fail)  # NaN is no JSON
    kinds = {trace["type"] for figure in figures.values() for trace in figure["data"]}
    assert kinds <= {"scatter", "bar"}, "the library has no others"
    places = set(re.findall(r'data-chart="(\w+)"', text))
    assert places == set(figures)
    assert ("progress" in figures) == bool(result.queries)
    assert ("weights" in figures) == (result.weights is not None)
    assert ("curves" in figures) == any(query.curve for query in result.queries)


def test_page_names_everything():
    result = CASES["usual"]
    page = read(result, baselines=[sample.random_baseline(20)], wall_seconds=211.4)
    size = result.size
    for words in (
        f"A network with validation accuracy {result.value:.4f}",
        "It beats random by",
        f"{size['parameters']:,}",
        f"{size['macs']:,}",
        "8 queries (T0) went into learning",
        "1 of 20 trainings failed",
        "The weights were chosen by these very values",
        "(95 % bootstrap interval",
        "120 candidates, 109 of them distinct: isomorphic ones count once. No network was trained",
        "no gradient reaches the input",
        "3 min 31 s",
        '"batch": "c0ffeec0ffee',
        "Our derivation, not the paper’s theorem",
    ):
        assert words in page.text, words


def test_candidates_that_were_scored_as_one_network_are_counted_in_the_same_words_everywhere():
    result = CASES["usual"]
    frame = result.scores.frame.copy()
    frame["scored_as"] = [frame["canonical"][row % 60] for row in range(len(frame))]
    origin = {**result.scores.provenance, "by_class": list(result.scores.metrics)}
    result = replace(result, scores=replace(result.scores, frame=frame, provenance=origin))
    n = result.scores.n_networks
    page = read(result)
    for words in (
        f"Candidates120 109 distinct scored as {n} networks",
        "from a pool of 109 distinct candidates.",
        f"isomorphic ones count once. They were scored as {n} networks: one stands for all whose networks are the same",
        f"of CPU time, for 109 distinct candidates, scored as {n} networks",
        "Different scores: of 109 distinct candidates; those that were scored as one network share theirs.",
    ):
        assert words in page.text, words
    assert f"120 candidates, 109 of them distinct, scored as {n} networks in " in facts_of(result, None)["cost"]


def test_pruned_queries_are_marked_and_what_was_saved_is_told():
    result = sample.result(20, pruned=(7, 12))
    page = read(result, baselines=[sample.random_baseline(20)])
    assert page.text.count("after epoch 3 of 8") == 2
    assert page.text.count("pruned at 0.") == 2
    assert "10 of 155 epochs saved" in page.text
    assert "Hollow triangles: what pruned queries had come to." in page.text
    assert "dashed lines were pruned" in page.text
    assert ("tr", "class", "pruned") in page.attributes
    assert "CompletedPrunedFailed" in page.text.replace(" ", "")
    plain = read(sample.result(20))
    assert "runed" not in plain.text


def test_a_baseline_that_won_is_said_first():
    best = sample.result(20, n_explored=8)
    page = read(replace(sample.random_baseline(20), strategy="loser"), baselines=[best])
    assert "The baseline robot did better" in page.text


def test_warnings_of_the_scores_are_shown():
    assert (
        "Metric 'snip' is undefined for 120 of 120 architectures: no convolution"
        in read(CASES["undefined scores"]).text
    )


def test_known_values_are_judged():
    result = CASES["usual"]
    page = read(result, known_values=result.combined)
    assert "Precision@12 is 1" in page.text
    assert "The winner is truly number" in page.text


def test_long_texts_are_folded_and_whole():
    page = render(sample.hostile())
    assert page.count('<details class="text"') == 0
    assert "x" * 300 in page.replace("<wbr>", "")
    assert page.count('class="one-line"') == 5 + 1  # the architecture of each query, and the failure


def test_markup_stays_text():
    page = render(sample.hostile())
    assert "window.hacked=1</script>" not in page
    assert "<img src=x" not in page
    reader = Reader(page)
    assert {tag for tag, _, _ in reader.attributes} & {"img", "em", "s"} == set()
    assert sum(tag == "script" for tag, name, _ in reader.attributes if name == "type") == 2


def test_page_asks_for_nothing():
    page = render(CASES["usual"], baselines=[sample.random_baseline(20)])
    reader = Reader(page)
    loads = [value for tag, name, value in reader.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert all(value.startswith("#") or value == "data:," for value in loads)
    assert "default-src 'none'" in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|@import|url\((?!#)", own)
    assert page.count("plotly.js (basic - minified) v") == 1
    assert len(page.encode()) < 2_000_000


def test_page_without_charts_carries_no_chart_library():
    assert len(render(CASES["none"]).encode()) < 100_000


def test_same_result_same_page():
    assert render(sample.result()) == render(sample.result())


def test_write_report_makes_the_folder_and_gives_the_path(tmp_path):
    path = tmp_path / "new" / "report.html"
    assert write_report(sample.result(3, failures=()), str(path)) == path
    assert path.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    "change", [{"direction": "minimize"}, {"value_name": "validation loss"}, {"objective": "table"}], ids=str
)
def test_baselines_of_another_kind_are_refused(change):
    with pytest.raises(ConfigError, match=r"A baseline must have the search's .* of study 'digits-demo'. Leave it out"):
        render(sample.result(3), baselines=[sample.random_baseline(3, **change)])


def test_a_winner_that_cannot_be_built_does_not_cost_the_report(monkeypatch):
    def build(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(type(sample.space()), "build", build)
    page = read(sample.result(3, failures=()))
    assert "could not be counted: RuntimeError: out of memory" in page.text
    assert "0 parameters" not in page.text


def test_texts_of_another_space_are_shown_without_drawing():
    result = sample.result(3, failures=())
    queries = tuple(replace(query, architecture="not of this space") for query in result.queries)
    page = read(replace(result, queries=queries))
    assert "not of this space" in page.text
    assert "svg" not in {tag for tag, _, _ in page.attributes}


def test_importing_the_report_draws_nothing():
    code = "import sys, robonas.report; print([m for m in ('plotly', 'jinja2', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.strip()
    assert "plotly" not in loaded
    assert "jinja2" not in loaded
    assert robonas.write_report is write_report


def test_parallel_workers_have_a_section():
    result = sample.result(4, failures=())
    queries = [
        replace(query, work=Work("here", place % 2, None, 100.0 + place // 2 * 7, 105.0 + place // 2 * 7))
        for place, query in enumerate(result.queries)
    ]
    page = read(replace(result, queries=tuple(queries)))
    assert "Who trained what, and when" in page.text
    assert "2 places worked for" in page.text
    assert ("div", "data-chart", "timeline") in page.attributes
    assert "timeline" not in {value for _, name, value in read(result).attributes if name == "data-chart"}


def test_what_one_wants_first_stands_first():
    result = replace(known(sample.result(20)), folder=Path("runs/one"), study="search")
    text = render(result)
    page = Reader(text)
    assert "<title>folder:photos · nasbench201: validation accuracy" in text
    places = [
        page.text.index(words)
        for words in (
            "A network with validation accuracy",
            "on 150 samples",
            "What to do now",
            "robonas train --search runs/one --data photos --image-size 8",
            "robonas predict runs/one-train IMAGE.png",
            "robonas export runs/one-train -o network.pt2",
            "Why it was asked",
            "against size",
            "The weights act together",
            "How alike the metrics are",
            "Enough to run the search again",
            "600 samples, 450 of them to train with and 150 held out",
            "robonas search --data photos --image-size 8 --crop 1 -o runs/one",
            "workstation: A processor, 2 cores",
        )
    ]
    assert places == sorted(places)
    few = read(sample.result(5, failures=()))
    assert "No rank correlation: 5 points are too few for a rank correlation" in few.text
    assert "of the 5 completed queries, too few to tell: it takes 10." in few.text


def test_a_remark_stands_only_where_a_query_differs():
    result = sample.result(20, n_explored=8, failures=())
    assert "Remark" not in re.search(r'id="queries-table".*?</thead>', render(result), re.DOTALL)[0]
    odd = replace(result.queries[10], reason="Nobody expected this.")
    queries = (*result.queries[:10], odd, *result.queries[11:])
    page = read(replace(result, queries=queries))
    assert page.text.count("Nobody expected this.") == 1
    each = tuple(replace(query, reason=f"Reason {query.number}.") for query in result.queries)
    assert "Reason 5." not in read(replace(result, queries=each)).text, "it is on the phase, where the mouse stops"


def test_the_caption_of_weights_speaks_of_diamonds_only_where_there_are_some() -> None:
    assert "Diamonds: the rank correlation" in read(sample.result(20, n_explored=8)).text
    assert "Diamonds" not in read(sample.result(queries=())).text
