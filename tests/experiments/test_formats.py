"""The tables of an experiment in the forms that papers and programs take, and its page."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from robonas.errors import ConfigError
from robonas.experiments import (
    all_tables,
    cautions,
    compare,
    metric_correlations,
    metric_quality,
    paper_table,
    run_experiment,
    to_csv,
    to_latex,
    to_markdown,
)
from robonas.experiments.formats import format_of
from robonas.report.experiment import render_experiment, write_experiment
from robonas.report.experiment_charts import progress_figure
from tests.experiments import toy
from tests.report.test_page import Reader


@pytest.fixture(scope="module")
def tasks():
    return [toy.task("one_<b>task</b>"), toy.task("two & more", seed=1)]


@pytest.fixture(scope="module")
def results(tasks):
    return run_experiment(tasks, ["average_rank", "local_search"], budget=6, seeds=3)


def test_all_tables(results, tasks):
    found = {table.name: table.frame for table in all_tables(results, tasks)}
    alike = [name for name in found if name.startswith("correlations-")]
    assert len(set(alike)) == len(tasks)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in alike)  # names of files
    assert list(found) == ["final", "rank", "progress", "comparison", "metrics", *alike, "over-tasks", "summary"]
    assert found[alike[0]].equals(metric_correlations(tasks[0]).rename_axis(index="metric", columns=None))
    assert list(found[alike[0]].index) == [*tasks[0].metrics, "val_acc"]
    assert found[alike[0]].loc["val_acc", "jacov"] == pytest.approx(found["metrics"]["spearman"].iloc[0])
    assert found["final"].equals(paper_table(results, "final").rename_axis(index="strategy", columns=None))
    assert len(found["metrics"]) == 6
    assert found["metrics"]["spearman"].iloc[0] == metric_quality(tasks[0], 6)["spearman"].iloc[0]
    assert "metrics" not in {table.name for table in all_tables(results)}


def test_csv_is_read_back_whole(results, tasks):
    for table in all_tables(results, tasks):
        back = pd.read_csv(io.StringIO(to_csv(table.frame)), index_col=0)
        assert list(back.columns) == [str(name) for name in table.frame.columns]
        for name in back.columns:
            if back[name].dtype == float:
                wanted = pd.to_numeric(table.frame[name]).to_numpy(np.float64)
                np.testing.assert_allclose(back[name].to_numpy(), wanted, rtol=1e-11)


def test_markdown_has_a_cell_for_each_value():
    frame = pd.DataFrame({"a|b": [1.23456, np.nan]}, index=pd.Index(["x", "y"], name="name"))
    assert to_markdown(frame, "Title") == ("**Title**\n\n| name | a\\|b |\n| --- | --- |\n| x | 1.235 |\n| y | – |\n")


def test_latex_escapes_and_names():
    frame = pd.DataFrame({"50 % & more": ["1.0 ± 0.5", None]}, index=pd.Index(["grad_norm", "#1"], name="a_b"))
    text = to_latex(frame, "100 % of $x_i$", "rank")
    assert r"grad\_norm & 1.0 $\pm$ 0.5 \\" in text
    assert r"\#1 & -- \\" in text
    assert r"a\_b & 50 \% \& more \\" in text
    assert r"\caption{100 \% of \$x\_i\$}" in text
    assert r"\label{tab:rank}" in text
    hard = to_latex(frame, r"C:\runs 10^6 a~b", "rank")
    assert r"\caption{C:\textbackslash{}runs 10\textasciicircum{}6 a\textasciitilde{}b}" in hard
    assert r"\begin{tabular}{lr}" in text
    assert r"\toprule" in text
    assert r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" in text
    assert r"\begin{table}" not in to_latex(frame)
    assert "resizebox" not in to_latex(frame)


def test_numbers_for_people_are_right_aligned_and_in_digits():
    frame = pd.DataFrame({"cost_s": ["2739", "–"], "low": [11268.4, 0.25], "kind": ["a", "b"]}, index=["x", "y"])
    text = to_latex(frame)
    assert r"\begin{tabular}{lrrl}" in text
    assert "cost (s)" in text
    assert "x & 2739 & 11,268 & a" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
def test_latex_is_understood_by_latex(results, tasks, tmp_path):
    tables = [to_latex(table.frame, table.title, table.name) for table in all_tables(results, tasks) if not table.wide]
    text = "\n".join(
        [r"\documentclass{article}\usepackage{booktabs,graphicx}\usepackage[utf8]{inputenc}\begin{document}", *tables]
    )
    (tmp_path / "t.tex").write_text(text + r"\end{document}", encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Overfull" not in done.stdout


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match="must be one of csv, latex, markdown; got 'word'"):
        format_of("word")


# ── deterministic strategies, and few seeds ──


def test_the_same_run_with_every_seed_is_not_tested(results):
    pairs = compare(results, "average_rank").set_index(["task", "other"])
    for task in results.tasks:
        alone = pairs.loc[(task, "jacov alone")]
        assert alone["deterministic"]
        assert alone["p"] is None
        assert alone["low"] is None
        chance = pairs.loc[(task, "random")]
        assert not chance["deterministic"]
        assert chance["low"] is not None


def test_what_a_reader_must_know_of_the_tests(results, tasks):
    sentences = cautions(results, "average_rank")
    assert sentences[0].startswith("On one_<b>task</b>, average_rank and jacov alone, plain alone, synflow alone make")
    # Random and local search are tested: two others.
    assert (
        "3 seeds are too few for any difference to be significant: the smallest possible p is 0.25, after"
        in (sentences[-1])
    )
    assert "With 7 seeds it can fall below 0.05." in sentences[-1]
    varied = run_experiment(tasks[:1], ["average_rank"], budget=4, seeds=8, half_pools=True)
    assert cautions(varied, "average_rank") == []


# ── the page ──


def test_the_page_has_everything_and_asks_for_nothing(results, tasks, tmp_path):
    page = write_experiment(results, tmp_path / "new" / "report.html", tasks=tasks).read_text(encoding="utf-8")
    assert len(page.encode()) < 2_000_000
    reader = Reader(page)
    assert len(reader.ids) == len(set(reader.ids))
    for words in ("Mean rank after 6 queries, where 1 is best", "same run", "too few", "one_<b>task</b>", "two & more"):
        assert words in reader.text
    assert "<b>task" not in page
    title = re.search("<title>(.*?)</title>", page)[1]
    assert title.startswith("average_rank, local_search on one_&lt;b&gt;task")
    assert page.count('class="data heat"') == 2
    loads = [value for tag, name, value in reader.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert all(value.startswith("#") or value == "data:," for value in loads)
    assert render_experiment(results, tasks=tasks) == page


def test_each_line_has_a_name_and_a_look_of_its_own(results):
    figure = progress_figure(results, tasks=[results.tasks[0]])
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.fill is None]
    assert {trace.name for trace in lines} == set(results.strategies)
    assert all(trace.showlegend for trace in lines)
    assert len({(trace.line.color, trace.line.dash, trace.line.width) for trace in lines}) == len(lines)
    with pytest.raises(ConfigError, match="no task 'x'"):
        progress_figure(results, tasks=["x"])


def test_hidden_lines_wait_for_a_click(results):
    task, hidden = results.tasks[0], results.strategies[1:3]
    figure = progress_figure(results, tasks=[task], hidden=hidden)
    assert {trace.name for trace in figure.data if trace.visible == "legendonly"} == set(hidden)
    drawn = {trace.name for trace in figure.data if trace.visible is True}
    assert drawn == set(results.strategies) - set(hidden)


def test_a_page_draws_no_more_lines_than_can_be_told_apart(tasks):
    few, many = (
        run_experiment(tasks[:1], strategies, budget=6, seeds=2, baselines=baselines)
        for strategies, baselines in (
            (["random", "robot"], False),
            (["random", "local_search", "evolution", "average_rank", "robot", "reinforce", "tpe"], True),
        )
    )
    assert "A click on a name" not in render_experiment(few)
    page = render_experiment(many)
    assert "Drawn are random, the best others at the end and the best metric alone. A click on a name" in page
    task = many.tasks[0]
    ranks = many.at(6)
    ranks = ranks[ranks["task"] == task].groupby("strategy")["rank"].mean()
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])
    traces = figures["progress-0"]["data"]
    drawn = {trace["name"] for trace in traces if trace["visible"] is True}
    assert len(drawn) == 7
    assert "random" in drawn
    alone = {name for name in many.strategies if many.kind(name) == "single"}
    (best_alone,) = drawn & alone
    assert ranks[best_alone] == ranks[list(alone)].min()
    left = set(many.strategies) - drawn - alone
    assert min(ranks[name] for name in left) >= max(ranks[name] for name in drawn - alone - {"random"})


def test_tasks_of_unequal_budgets_are_told(tasks):
    unequal = run_experiment([replace(tasks[0], budget=5), tasks[1]], ["random"], budget=3, seeds=2, baselines=False)
    text = Reader(render_experiment(unequal)).text
    assert "Mean rank after all queries (3 to 5 by task), where 1 is best: random" in text
    titles = {table.name: table.title for table in all_tables(unequal)}
    assert titles["progress"].endswith("; a task with fewer queries counts with its last")


def test_a_page_without_tasks_or_with_one_strategy(tasks):
    alone = run_experiment(tasks[:1], ["average_rank"], budget=3, seeds=1, baselines=False)
    text = Reader(render_experiment(alone)).text
    assert "The metrics" not in text
    assert "Mean rank after 3 queries, where 1 is best: average_rank" in text
