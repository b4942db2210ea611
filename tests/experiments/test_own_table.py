"""A benchmark table of one's own: its columns, its noise, and what a stop costs."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from torch import nn
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.errors import ConfigError, StudyError
from robonas.experiments import Noise, Task, build_table, noise_of, run_experiment
from robonas.metrics import Metric
from robonas.objectives import CurvePoint, Evaluation, FunctionObjective
from robonas.spaces import from_choices
from robonas.study.events import QueryFinished
from robonas.tables.base import BenchmarkTable, Column
from tests.fakes import small_batch, small_space

SPACE = small_space()
POOL = [SPACE.format(architecture) for architecture in SPACE.sample(7, 0)]
CALLS: list[int] = []


def value(architecture, seed, report):
    """Twice the length of the text after two steps; a failure of one candidate with seed 1."""
    CALLS.append(seed)
    size = len(SPACE.format(architecture))
    if seed == 1 and size == min(map(len, CANONICAL)):
        raise RuntimeError("diverged")
    curve = (CurvePoint(1, 2, float(size + seed)), CurvePoint(2, 2, 2.0 * size + seed))
    for point in curve:
        report(point)
    return Evaluation(curve[-1].value, 3.0 + seed, curve)


CANONICAL = {SPACE.format(SPACE.canonical(SPACE.parse(text))) for text in POOL}
OBJECTIVE = FunctionObjective(value, takes="architecture", name="length", direction="minimize")


def built(folder, **settings) -> BenchmarkTable:
    given = {"pool": POOL, "seeds": 3, "batch": small_batch(), "folder": folder}
    return build_table(SPACE, OBJECTIVE, ["params", "snip"], **(given | settings))


def test_columns_hold_what_was_measured(tmp_path) -> None:
    table = built(tmp_path)
    assert {SPACE.format(SPACE.canonical(SPACE.parse(text))) for text in table.architectures} == CANONICAL
    sizes = np.array([len(SPACE.format(SPACE.canonical(SPACE.parse(text)))) for text in table.architectures])
    failed = sizes == sizes.min()
    np.testing.assert_array_equal(table.values("value_seed_0"), 2.0 * sizes)
    np.testing.assert_array_equal(table.values("value_seed_2"), 2.0 * sizes + 2)
    np.testing.assert_array_equal(table.values("value"), np.where(failed, np.nan, 2.0 * sizes + 1))
    np.testing.assert_array_equal(table.values("value_1ep"), np.where(failed, np.nan, sizes + 1.0))
    np.testing.assert_array_equal(table.values("value_seed_0_1ep"), sizes + 0.0)
    np.testing.assert_array_equal(table.values("value_seed_2_1ep"), sizes + 2.0)
    np.testing.assert_allclose(table.values("deviation")[~failed], 1.0)
    np.testing.assert_allclose(table.values("seconds")[~failed], 4.0)
    columns = {column.name: column for column in table.columns}
    assert [columns[name].role for name in ("params", "snip", "value", "value_1ep", "seconds", "deviation")] == [
        "metric", "metric", "objective", "objective", "cost", "info",
    ]  # fmt: skip
    assert (columns["value"].higher_is_better, columns["value_1ep"].epochs) == (False, 1)
    assert columns["value_seed_1"].undefined == {"absent": int(failed.sum())}
    assert columns["value_seed_1_1ep"].epochs == 1
    assert table.provenance["seeds"] == 3
    noise = noise_of(table)
    assert noise is not None
    assert noise.n_seeds == 3


def test_a_written_table_is_read_again_and_searched_at_once(tmp_path) -> None:
    from robonas.tables import read_table

    built(tmp_path / "run").write(tmp_path / "mine.parquet")
    table = read_table(tmp_path / "mine.parquet")
    task = Task.from_table(table, objective="value_seed_0", cost="seconds")
    results = run_experiment([task], ["auto"], budget=3, seeds=1)
    assert len(results.frame)


def test_a_stop_loses_nothing_and_the_same_call_goes_on(tmp_path) -> None:
    def stop(event) -> None:
        if isinstance(event, QueryFinished) and len(CALLS) == len(CANONICAL) + 3:
            raise KeyboardInterrupt

    CALLS.clear()
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, callbacks=[stop])
    table = built(tmp_path)
    assert len(CALLS) == 3 * len(CANONICAL)
    pd.testing.assert_frame_equal(table.frame, built(tmp_path / "other").frame)


@pytest.mark.slow
def test_several_at_once_and_no_metrics_change_no_value(tmp_path) -> None:
    one = built(tmp_path / "one")
    two = build_table(SPACE, OBJECTIVE, [], pool=POOL, seeds=3, folder=tmp_path / "two", n_parallel=2)
    assert two.names("metric") == ()
    for name in ("value", "value_seed_1", "deviation"):
        np.testing.assert_array_equal(one.values(name), two.values(name))


def test_a_pool_is_drawn_as_that_of_a_search(tmp_path) -> None:
    space = from_choices({"width": (1, 2, 3)}, lambda width: nn.Linear(2, width), input_shape=(2,), n_classes=3)
    objective = FunctionObjective(lambda architecture: architecture["width"], takes="architecture", name="width")
    table = build_table(space, objective, [], pool=np.int64(9), seeds=1, folder=tmp_path)
    assert sorted(table.values("value")) == [1.0, 2.0, 3.0]  # the space has no more
    with pytest.raises(ConfigError, match="The pool must have at least one architecture; got none"):
        build_table(space, objective, [], pool=[], seeds=1, folder=tmp_path)


def test_bad_input_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no data to draw a batch from"):
        built(tmp_path, batch=None)
    for name in ("value", "deviation", "value_seed_0"):  # which the trainings' own numbers would replace
        metric = Metric(name, lambda _: 1.0, frozenset(), "It.", "w", "Test.")
        with pytest.raises(ConfigError, match=f"A metric cannot be called '{name}'"):
            build_table(SPACE, OBJECTIVE, [metric], pool=POOL, folder=tmp_path, batch=small_batch())
    with pytest.raises(ConfigError, match="`seeds` must be at least 1 seed"):
        built(tmp_path, seeds=0)
    built(tmp_path)
    with pytest.raises(StudyError, match="other settings"):
        built(tmp_path, pool=POOL[:6])


# ── noise ──


def of_values(values) -> BenchmarkTable:
    values = np.asarray(values, dtype=float)
    names = [f"value_seed_{seed}" for seed in range(values.shape[1])]
    frame = pd.DataFrame(
        {"architecture": [str(row) for row in range(len(values))]} | dict(zip(names, values.T, strict=True))
    )
    return BenchmarkTable(frame, tuple(Column(name, "objective") for name in names), {})


def test_noise_by_hand() -> None:
    # Means 1, 4, 7: variance 9. Each candidate's variance between its two seeds is 2, so s²/S is 1, and var(t) is 8.
    noise = noise_of(of_values([[0, 2], [3, 5], [6, 8]]))
    assert (noise.n_seeds, noise.within, noise.between) == (2, pytest.approx(2**0.5), pytest.approx(8**0.5))
    assert noise.ceiling() == pytest.approx(math.sqrt(8 / 10))
    assert noise.ceiling(2) == pytest.approx(math.sqrt(8 / 9))


def test_the_ceiling_is_what_the_truth_itself_reaches() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=4000)
    values = truth[:, None] + 0.7 * generator.normal(size=(4000, 3))
    noise = noise_of(of_values(values))
    assert noise.ceiling() == pytest.approx(np.corrcoef(truth, values[:, 0])[0, 1], abs=0.02)
    assert noise.ceiling(3) == pytest.approx(np.corrcoef(truth, values.mean(axis=1))[0, 1], abs=0.02)


def test_where_there_is_no_noise_to_tell() -> None:
    assert noise_of(of_values([[1.0], [2.0]])) is None
    assert noise_of(of_values([[1.0, math.nan], [2.0, 3.0]])) is None
    assert Noise(2, 1.0, 0.0).ceiling() == 0.0
    assert Noise(2, 0.0, 0.0).ceiling() == 0.0
    assert Noise(2, 0.0, 1.0).ceiling() == 1.0


# ── the command ──


def test_the_command_builds_a_table_that_others_read(tmp_path) -> None:
    file = str(tmp_path / "mine.parquet")
    small = ["--space-set", "channels=2", "--space-set", "depth=1", "--pool", "4", "--seeds", "2", "-j", "1"]
    arguments = ["nasbench201", *small, "--epochs", "2", "--training-fraction", "0.05", "-m", "params", "-o", file]
    runner = CliRunner()
    made = runner.invoke(app, ["tables", "build", *arguments])
    assert made.exit_code == 0, made.output
    assert "Noise: the value of one training deviates by" in made.output
    again = runner.invoke(app, ["tables", "build", *arguments, "--json"])
    columns = {row["column"]: row["role"] for row in json.loads(again.stdout)["columns"]}
    assert columns["value"] == columns["value_seed_1"] == columns["value_1ep"] == "objective"
    told = runner.invoke(app, ["tables", "info", file])
    assert "Noise:" in told.output
    limit = runner.invoke(app, ["tables", "build", *arguments, "--timeout", "5"])
    assert limit.exit_code == 2
    assert "A table needs all of its trainings" in limit.output
