"""What a strategy may know before an experiment, what is refused, and how many tests a correction counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robonas.cli.app import app
from robonas.common.record import FAMILIES, record_of_metrics
from robonas.errors import ConfigError
from robonas.experiments import Contender, Task, cautions, compare, run_experiment
from robonas.experiments.codes import family_of_texts
from robonas.spaces import make_space
from robonas.strategies import STRATEGIES, Auto, make_strategy
from robonas.tables.building import from_frame
from robonas.tables.columnar import describe
from tests.experiments import toy


def cells(name: str = "cells") -> Task:
    """The toy with the texts of NAS-Bench-201."""
    space = make_space("nasbench201")
    return replace(toy.task(name), architectures=tuple(space.format(space.at(100 * row)) for row in range(50)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_published_family_is_known_by_its_texts(family) -> None:
    space = make_space(family)
    texts = [space.format(architecture) for architecture in space.sample(30, seed=0)]
    assert family_of_texts(texts) == family
    assert family_of_texts([*texts, "(1, 2)"]) is None


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_nothing_is_held_out_where_the_family_is_unknown(name) -> None:
    strategy = make_strategy(name)
    assert strategy.without(None) is strategy
    assert strategy.without("my-space") is strategy


def test_auto_is_judged_without_its_record_of_the_family() -> None:
    held_out = record_of_metrics(without="nasbench201")
    assert held_out != record_of_metrics()
    assert Auto(0.5).without("nasbench201").settings == {"optimism": 0.5, "record": held_out}
    own = Auto(record={"snip": 1.0})
    assert own.without("nasbench201") is own
    contenders = [
        "auto",
        Contender("auto", "without", {"record": held_out}),
        Contender("auto", "with", {"record": record_of_metrics()}),
    ]
    results = run_experiment([cells()], contenders, budget=12, seeds=3, half_pools=True, baselines=False, n_jobs=0)
    asked = {name: list(runs["row"]) for name, runs in results.frame.groupby("strategy")}
    assert asked["auto"] == asked["without"]
    assert asked["auto"] != asked["with"]
    assert results.settings["tasks"][0]["family"] == "nasbench201"
    assert cautions(results, "auto")[-1].startswith("auto begins without its record of metrics over nasbench201, since")
    assert "record" not in " ".join(cautions(run_experiment([toy.task()], ["auto"], budget=2, seeds=2), "auto"))


@pytest.mark.parametrize("record", ["none", ["snip"], 1.0])
def test_a_record_that_is_no_mapping_is_one_sentence(record) -> None:
    with pytest.raises(ConfigError, match="`record` must map names of metrics to numbers"):
        make_strategy("auto", record=record)


def unread() -> Task:
    frame = toy.frame().rename(columns={"jacov": "alpha", "plain": "beta"}).drop(columns=["synflow"])
    columns = [describe(name) for name in frame.columns if name != "arch"]
    return Task.from_table(from_frame(frame, "arch", columns, {"source": "mine.csv"}), objective="val_acc")


def test_a_table_without_a_known_metric_is_not_searched_in_the_order_of_its_file() -> None:
    with pytest.raises(ConfigError, match=r"auto reads metrics, .* alpha, beta\. .* --metrics alpha,beta"):
        run_experiment([unread()], ["random", "auto"], budget=5, seeds=1, n_jobs=0)
    assert len(run_experiment([unread()], ["random"], budget=5, seeds=1, n_jobs=0).frame) == 5


def test_strategies_and_metrics_alone_are_corrected_apart_and_the_caution_counts_the_same() -> None:
    results = run_experiment([toy.task()], ["auto", "local_search"], budget=5, seeds=3, half_pools=True, n_jobs=0)
    table = compare(results, "auto")
    alone = table["other"].map(results.kind) == "single"
    tests = max(table.loc[alone, "p"].notna().sum(), table.loc[~alone, "p"].notna().sum())
    sentence = cautions(results, "auto")[-1]
    assert (
        f"the smallest possible p is 0.25, after the correction for {tests} others {min(1, 0.25 * tests):.2g}"
        in sentence
    )
    assert (table["p_holm"].dropna().astype(float) >= min(1, 0.25)).all()


def test_strategies_on_the_command_line_stand_in_for_those_a_suite_lacks(tmp_path) -> None:
    from typer.testing import CliRunner

    toy.frame().to_csv(tmp_path / "toy.csv", index=False)
    (tmp_path / "suite.toml").write_text('budget = 3\nseeds = 1\n[[task]]\ntable = "toy.csv"\nobjective = "val_acc"\n')
    command = ["experiment", str(tmp_path / "suite.toml"), "--jobs", "0", "--no-report", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--strategy", "random"])
    assert done.exit_code == 0, done.output
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "must have 'strategy'" in refused.output
