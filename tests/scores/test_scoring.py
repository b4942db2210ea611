"""Scoring a pool: what a score depends on, and what survives a stop."""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from robonas.errors import (
    ArchitectureError,
    ConfigError,
    NetworkError,
    OutputError,
    ScoreTableError,
    UnknownNameError,
)
from robonas.metrics import Metric, resolve_metrics
from robonas.processes import workers
from robonas.scores.scoring import Scorer, score
from robonas.scores.table import ScoreTable
from tests.fakes import CHEAP, small_batch, small_space

SPACE = small_space()
POOL = SPACE.sample(10, seed=1)


def test_scores_do_not_depend_on_order_pool_or_processes() -> None:
    table = score(SPACE, POOL, CHEAP, small_batch())
    backwards = score(SPACE, POOL[::-1], CHEAP, small_batch())
    alone = score(SPACE, POOL[3:4], CHEAP, small_batch())
    two = score(SPACE, POOL, CHEAP, small_batch(), n_jobs=2)
    np.testing.assert_array_equal(backwards.scores[::-1], table.scores)
    np.testing.assert_array_equal(alone.scores[0], table.scores[3])
    np.testing.assert_array_equal(two.scores, table.scores)


def test_no_workers_at_all_is_this_process() -> None:
    def where(passes) -> float:
        return float(os.getpid())

    assert (score(SPACE, POOL[:2], [where], small_batch(), n_jobs=0).scores == os.getpid()).all()
    assert (score(SPACE, POOL[:2], [where], small_batch(), n_jobs=1).scores != os.getpid()).all()


def test_workers_do_not_load_the_compiler_of_pytorch() -> None:
    for kept in list(workers._kept):  # which may have loaded it for an earlier work
        workers._kept.pop(kept)[1].cancel()
        kept.kill()

    def loaded(passes) -> float:
        return float("torch._dynamo" in sys.modules)

    assert (score(SPACE, POOL[:1], ["flops", "jacov", loaded], small_batch()).frame["loaded"] == 0).all()


def test_scores_depend_on_the_seed() -> None:
    one, two = (score(SPACE, POOL[:2], ("grad_norm",), small_batch(), seed=seed).scores for seed in (0, 1))
    assert not np.allclose(one, two, equal_nan=True)


def test_isomorphic_cells_are_scored_once() -> None:
    calls = []

    def spy(passes) -> float:
        calls.append(1)
        return float(passes.n_parameters) if hasattr(passes, "n_parameters") else 1.0

    live = "|nor_conv_3x3~0|+|none~0|none~1|+|{}~0|nor_conv_3x3~1|none~2|"
    dead = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|{}~0|nor_conv_3x3~1|none~2|"  # 0→2 leads nowhere
    table = score(
        SPACE, [live.format("none"), dead.format("none"), live.format("none")], [spy], small_batch(), n_jobs=0
    )
    assert len(calls) == 1
    assert len(table) == 3
    assert table.distinct.tolist() == [0]


# 0→1 is a skip, so that node 1 is the input: a 1x1 convolution of it, and a 3x3 one, are added in either cell.
ONE = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
SAME = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|"


def counted(calls, **card) -> Metric:
    """A metric of the network's first weight, which notes its calls."""

    def first_weight(passes) -> float:
        calls.append(1)
        return float(next(passes.network.parameters()).detach().flatten()[0])

    return Metric("mine", first_weight, frozenset(), "It.", "w", "Test.", **card)


def test_a_scoring_class_is_scored_once_where_the_metric_says_that_this_is_right() -> None:
    assert SPACE.canonical(SPACE.parse(ONE)) != SPACE.canonical(SPACE.parse(SAME))
    representative = SPACE.format(SPACE.scoring_class(SPACE.parse(ONE)))
    shared, own = [], []
    table = score(SPACE, [ONE, SAME], [counted(shared, by_class=True)], small_batch(), n_jobs=0)
    each = score(SPACE, [ONE, SAME], [counted(own)], small_batch(), n_jobs=0)
    assert (len(shared), len(own)) == (1, 2)
    assert table.scores[0] == table.scores[1]
    assert each.scores[0] != each.scores[1], "each canonical form has a draw of its own"
    assert table.distinct.tolist() == each.distinct.tolist() == [0, 1]
    assert (table.n_networks, each.n_networks) == (1, 2)
    assert table.frame["scored_as"].tolist() == [representative] * 2
    assert table.by_class == {"mine"}
    assert each.by_class == set()
    assert table.shared().distinct.tolist() == [0]


def test_the_network_of_a_class_is_the_same_whatever_the_pool() -> None:
    metrics = ("grad_norm", "vkdnw")
    both = score(SPACE, [ONE, SAME], metrics, small_batch()).scores
    for row, text in enumerate((ONE, SAME)):
        np.testing.assert_array_equal(score(SPACE, [text], metrics, small_batch()).scores[0], both[row])
    assert both[0, 0] == both[1, 0]
    representative = SPACE.format(SPACE.scoring_class(SPACE.parse(ONE)))
    np.testing.assert_array_equal(score(SPACE, [representative], ["grad_norm"], small_batch()).scores[0], both[0, :1])


def test_seconds_of_a_class_are_counted_once() -> None:
    table = score(SPACE, [ONE, SAME], ["grad_norm", "vkdnw"], small_batch())
    seconds = table.frame[["seconds:grad_norm", "seconds:vkdnw"]].to_numpy()
    assert table.seconds == pytest.approx(seconds[0, 0] + seconds[:, 1].sum())
    assert table.summary()["seconds"].tolist() == pytest.approx([seconds[0, 0], seconds[:, 1].sum()])


def test_the_cache_knows_classes(tmp_path) -> None:
    cache = tmp_path / "s.parquet"
    first = score(SPACE, [ONE], ["grad_norm", "vkdnw"], small_batch(), cache=cache)
    calls = []
    table = score(SPACE, [SAME], [counted(calls, by_class=True), "grad_norm"], small_batch(), cache=cache, n_jobs=0)
    assert table.scores[0, 1] == first.scores[0, 0]
    score(SPACE, [ONE], [counted(calls, by_class=True)], small_batch(), cache=cache, n_jobs=0)
    assert len(calls) == 1, "the score of the one is the other's"
    whole = ScoreTable.read(cache)
    assert whole.by_class == {"grad_norm", "mine"}
    assert whole.architectures == (ONE, SAME)
    assert np.isnan(whole.scores[1, whole.metrics.index("vkdnw")]), "the other has no score of its own by it yet"
    assert whole.scores[:, whole.metrics.index("grad_norm")].tolist() == [first.scores[0, 0]] * 2


def test_bounds_on_metrics_are_of_the_class_too() -> None:
    scorer = Scorer(SPACE, small_batch())
    metrics = resolve_metrics(["grad_norm", "vkdnw"])
    found = scorer.scores_of([ONE, SAME], metrics)
    table = scorer.score([ONE, SAME], metrics)
    assert list(found) == [ONE, SAME]
    for row, text in enumerate((ONE, SAME)):
        assert [found[text][name].value for name in table.metrics] == table.scores[row].tolist()


def test_accepts_texts_and_architectures() -> None:
    text = SPACE.format(POOL[0])
    np.testing.assert_array_equal(
        score(SPACE, [text], CHEAP, small_batch()).scores, score(SPACE, POOL[:1], CHEAP, small_batch()).scores
    )


def test_leaves_generators_and_threads_alone() -> None:
    batch = small_batch()
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    score(SPACE, POOL[:2], CHEAP, batch)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_failing_metric_is_nan_with_the_reason() -> None:
    def broken(passes) -> float:
        raise RuntimeError("flat tyre")

    table = score(SPACE, POOL[:2], [broken, "params"], small_batch())
    assert np.isnan(table.scores[:, 0]).all()
    assert np.isfinite(table.scores[:, 1]).all()
    assert "flat tyre" in str(table.reason(0, "broken"))
    assert "broken" in str(table.reason(0, "broken"))


class Unbuildable(type(SPACE)):
    """Raises for every cell whose first edge is a 1x1 convolution."""

    def build(self, architecture):
        if architecture["edge_0_1"] == "nor_conv_1x1":
            raise ValueError("shapes do not fit")
        return super().build(architecture)


def test_a_network_that_cannot_be_built_is_nan_with_the_reason() -> None:
    space = Unbuildable(**{**SPACE.settings, "input_shape": (1, 8, 8)})
    good = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
    table = score(space, [good.replace("nor_conv_3x3~0", "nor_conv_1x1~0"), good], ("params",), small_batch())
    assert "cannot be built: ValueError: shapes do not fit" in str(table.reason(0, "params"))
    assert np.isfinite(table.scores[1, 0])


class Pair(torch.nn.Module):
    """Returns logits and something else."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x), x


class PairSpace(type(SPACE)):
    """Networks that return a tuple."""

    def build(self, architecture):
        return Pair(super().build(architecture))


def test_a_tuple_is_refused_before_the_first_score_and_welcome_with_a_hook() -> None:
    space = PairSpace(**{**SPACE.settings, "input_shape": (1, 8, 8)})
    with pytest.raises(NetworkError, match="logits"):
        score(space, POOL, ("grad_norm",), small_batch())
    pool = list(map(SPACE.scoring_class, POOL[:3]))  # a space that builds other networks knows of no larger classes
    table = score(space, pool, ("grad_norm",), small_batch(), logits=lambda pair: pair[0])
    np.testing.assert_allclose(table.scores, score(SPACE, pool, ("grad_norm",), small_batch()).scores)


def test_bad_input_is_told_before_anything_is_built() -> None:
    with pytest.raises(ConfigError, match="at least one architecture"):
        score(SPACE, [], CHEAP, small_batch())
    with pytest.raises(ConfigError, match="metric"):
        score(SPACE, POOL, [], small_batch())
    with pytest.raises(UnknownNameError, match="Did you mean 'snip'"):
        score(SPACE, POOL, ["sinp"], small_batch())
    with pytest.raises(ConfigError, match="A metric or cost cannot be called 'canonical'"):
        score(SPACE, POOL, [Metric("canonical", lambda _: 1.0, frozenset(), "It.", "w", "Test.")], small_batch())
    with pytest.raises(ArchitectureError, match="must read like"):
        score(SPACE, ["|bogus|"], CHEAP, small_batch())
    with pytest.raises(ConfigError, match=r"input_shape=\(3, 8, 8\) and n_classes=10; got \(1, 8, 8\) and 10"):
        score(SPACE, POOL, CHEAP, type(small_batch())(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]), 10))


def test_a_metric_that_the_batch_does_not_suit_is_told_before_the_first_network() -> None:
    class Untouchable(type(SPACE)):
        def build(self, architecture):
            raise AssertionError("built")

    batch = type(small_batch())(torch.randn(4, 1, 8, 8), torch.rand(4, 10), 10, "regression")
    with pytest.raises(ConfigError, match=r"'epe_nas' has no value for this batch: .*regression"):
        score(Untouchable(**{**SPACE.settings, "input_shape": (1, 8, 8)}), POOL, ["epe_nas"], batch)


# ── the cache ──


class Counting:
    """A metric that counts its calls, and stops the run at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls = 0
        self.stop_at = stop_at
        self.__name__ = "counting"

    def __call__(self, passes) -> float:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return 1.0


def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("robonas.scores.scoring.CHUNK", 2)
    pool = SPACE.sample(8, seed=2)
    n = len({SPACE.canonical(arch) for arch in pool})
    with pytest.raises(KeyboardInterrupt):
        score(SPACE, pool, [Counting(stop_at=5)], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)
    assert not (tmp_path / "s.parquet").exists()
    rest = Counting()
    score(SPACE, pool, [rest], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)
    assert rest.calls == n - 4
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["s.parquet"]


def test_a_finished_run_computes_nothing_again(tmp_path) -> None:
    first = score(SPACE, POOL, CHEAP, small_batch(), cache=tmp_path / "s.parquet")
    spy = Counting()
    again = score(SPACE, POOL, CHEAP, small_batch(), cache=tmp_path / "s.parquet", callbacks=[lambda d, n: spy(None)])
    np.testing.assert_array_equal(again.scores, first.scores)
    assert spy.calls == 1  # told once, that all are done
    assert ScoreTable.read(tmp_path / "s.parquet").fingerprint() == first.fingerprint()


def test_more_architectures_and_metrics_compute_only_what_is_new(tmp_path) -> None:
    cache = tmp_path / "s.parquet"
    score(SPACE, POOL[:4], ["params"], small_batch(), cache=cache)
    score(SPACE, POOL[4:6], ["snip"], small_batch(), cache=cache)
    table = score(SPACE, POOL[:6], ["params", "snip"], small_batch(), cache=cache)
    np.testing.assert_array_equal(table.scores, score(SPACE, POOL[:6], ["params", "snip"], small_batch()).scores)
    assert ScoreTable.read(cache).metrics == ("params", "snip")


def test_the_torn_last_line_of_a_killed_run_is_forgotten(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("robonas.scores.scoring.CHUNK", 1)
    with pytest.raises(KeyboardInterrupt):
        score(SPACE, POOL, [Counting(stop_at=4)], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)
    partial = tmp_path / "s.parquet.partial"
    partial.write_bytes(partial.read_bytes()[:-10])
    rest = Counting()
    score(SPACE, POOL, [rest], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)
    assert rest.calls == len({SPACE.canonical(arch) for arch in POOL}) - 2


def test_earlier_damage_to_the_journal_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("robonas.scores.scoring.CHUNK", 1)
    with pytest.raises(KeyboardInterrupt):
        score(SPACE, POOL, [Counting(stop_at=4)], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)
    partial = tmp_path / "s.parquet.partial"
    lines = partial.read_text().splitlines(keepends=True)
    partial.write_text(lines[0] + "{garbage\n" + "".join(lines[2:]))
    with pytest.raises(ScoreTableError, match="Line 2 of"):
        score(SPACE, POOL, [Counting()], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)


@pytest.mark.parametrize("change", ["batch", "seed", "space"])
def test_a_cache_of_another_run_is_refused_and_kept(tmp_path, change) -> None:
    cache = tmp_path / "s.parquet"
    score(SPACE, POOL[:2], ["params"], small_batch(), cache=cache)
    before = cache.read_bytes()
    space = type(SPACE)(input_shape=(1, 8, 8), channels=3, depth=1) if change == "space" else SPACE
    with pytest.raises(ScoreTableError, match=f"another .*{change}"):
        score(
            space,
            POOL[:2],
            ["params"],
            small_batch(seed=int(change == "batch")),
            seed=int(change == "seed"),
            cache=cache,
        )
    assert cache.read_bytes() == before


def test_the_journal_says_where_it_comes_from(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        score(SPACE, POOL, [Counting(stop_at=1)], small_batch(), cache=tmp_path / "s.parquet", n_jobs=0)
    head = json.loads((tmp_path / "s.parquet.partial").read_text().splitlines()[0])
    assert head["provenance"]["space"]["name"] == "nasbench201"


def test_a_place_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write .*is not a folder"):
        score(SPACE, POOL[:2], ["params"], small_batch(), cache=tmp_path / "file" / "s.parquet")


class FullDisk(io.FileIO):
    """A file on a disk with room for a few bytes, which tells it once more when it is closed."""

    def write(self, content) -> int:
        if len(content) <= 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(content[:5])

    def close(self) -> None:
        if not self.closed:
            super().close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_and_what_came_before_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("robonas.scores.scoring.CHUNK", 1)
    cache = tmp_path / "s.parquet"
    with pytest.raises(KeyboardInterrupt):
        score(SPACE, POOL, [Counting(stop_at=3)], small_batch(), cache=cache, n_jobs=0)
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **kw: FullDisk(self, "ab") if mode == "ab" else real(self, mode, **kw)
    )
    with pytest.raises(OutputError, match=r"No space left on device.*free some space"):
        score(SPACE, POOL, [Counting()], small_batch(), cache=cache, n_jobs=0)
    monkeypatch.setattr(Path, "open", real)
    rest = Counting()
    score(SPACE, POOL, [rest], small_batch(), cache=cache, n_jobs=0)
    assert rest.calls == len({SPACE.canonical(arch) for arch in POOL}) - 2


class Deadly(type(SPACE)):
    """Cells that take their process with them in the forward pass, as their first edge says."""

    def build(self, architecture):
        network = super().build(architecture)
        if architecture["edge_0_1"] != "nor_conv_3x3":
            network.register_forward_hook(DEATHS[architecture["edge_0_1"]])
        return network


DEATHS = {
    "nor_conv_1x1": lambda *_: os._exit(9),
    "skip_connect": lambda *_: ctypes.string_at(0),
    "avg_pool_3x3": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
}
ENDED = {
    "nor_conv_1x1": "the process that scored it ended with exit code 9",
    "skip_connect": "the process that scored it ended by signal 11 (SIGSEGV)",
    "avg_pool_3x3": "the process that scored it ended by signal 9 (SIGKILL), perhaps for want of memory",
}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_network_that_ends_its_process_costs_itself_and_keeps_what_it_has(n_jobs, tmp_path) -> None:
    space = Deadly(**{**SPACE.settings, "input_shape": (1, 8, 8)})
    cell = "|{}~0|+|{}~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
    edges = ["nor_conv_3x3", "skip_connect", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]
    pool = [cell.format(edge, op) for edge in edges for op in ("none", "nor_conv_3x3")]
    table = score(space, pool, ["params", "snip", "flops"], small_batch(), n_jobs=n_jobs, cache=tmp_path / "s.parquet")
    for row, text in enumerate(pool):
        edge = space.parse(text)["edge_0_1"]
        assert table.scores[row, 0] == SPACE.count_parameters(space.parse(text)) / 1e6
        assert [table.reason(row, name) for name in ("snip", "flops")] == [ENDED.get(edge)] * 2
    again = score(space, pool, ["params", "snip", "flops"], small_batch(), n_jobs=1, cache=tmp_path / "s.parquet")
    assert again.fingerprint() == table.fingerprint()


def test_an_innocent_network_is_scored_where_another_one_has_spoiled_the_process(tmp_path) -> None:
    mark = tmp_path / "spoiled"

    def spoilt(passes) -> float:
        if mark.exists():
            mark.unlink()
            os.abort()  # as heap that another one has damaged ends a process later
        return 1.0

    mark.touch()
    table = score(SPACE, POOL, [spoilt], small_batch(), n_jobs=1)
    assert not mark.exists()
    assert (table.scores == 1).all()


def test_what_no_process_can_read_is_scored_here_with_a_warning() -> None:
    lock = threading.Lock()

    def locked(passes) -> float:
        return float(lock.locked())

    with pytest.warns(RuntimeWarning, match=r"No process of its own for each worker: .*cannot pickle"):
        table = score(SPACE, POOL[:2], [locked], small_batch(), n_jobs=2)
    assert (table.scores == 0).all()
