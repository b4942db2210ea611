"""Searches on clusters of this machine: Ray with two nodes, of which one is lost, and Dask with two workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import CHEAP, small_batch, small_space
from tests.study.test_parallel_search import climb, slow_ones

from robonas.scores.scoring import score
from robonas.study.loop import search

ROOT = Path(__file__).resolve().parents[2]
COMMON = """
import json, sys
from robonas.objectives import FunctionObjective
from robonas.scores.scoring import score
from robonas.study.events import QueryFinished, QueryStep
from robonas.study.loop import search
from tests.fakes import CHEAP, small_batch, small_space
from tests.study.test_parallel_search import climb, slow_ones

space = small_space()
events = []

def run(function, executor, **settings):
    objective = FunctionObjective(function, takes="architecture", name="length")
    given = {"pool": 40, "budget": 8, "folder": None, "batch": small_batch(), "metrics": CHEAP, "n_parallel": 2}
    return search(space, objective, executor=executor, **(given | settings))

def told(result):
    return [
        [query.architecture, query.value, query.state, query.steps, list(query.pending)] for query in result.queries
    ]

def pruned(executor):
    events.clear()
    noted = lambda event: events.append(type(event).__name__)
    return told(run(climb, executor, pruner="median", n_parallel=1, budget=14, callbacks=[noted]))

def found(executor, lose):
    ways = {
        "scores": lambda: score(space, space.sample(40, 0), CHEAP, small_batch(), executor=executor).scores.tolist(),
        "one": lambda: told(run(slow_ones, executor, n_parallel=1)),
        "pruned": lambda: [pruned(executor), events.count("QueryStep")],
        "lost": lambda: told(run(slow_ones, executor, callbacks=[lose])),
    }
    return json.dumps({name: way() for name, way in ways.items()})
"""
RAY = """
import ray
from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error", include_dashboard=False)
    from robonas.processes.executors import RayEngine
    engine = RayEngine()
    assert engine.n == 2

    def lose(event):
        if isinstance(event, QueryFinished) and event.query.number == 2:
            cluster.remove_node(node, allow_graceful=False)

    print(found(engine, lose))
    ray.shutdown()
    cluster.shutdown()
"""
DASK = """
if __name__ == "__main__":
    from distributed import Client, LocalCluster
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        print(found(client, lambda event: None))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_cluster_gives_the_same_search(engine, tmp_path) -> None:
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[engine], reason=f"needs the extra `{engine}`")
    script = tmp_path / "script.py"
    script.write_text(COMMON + {"ray": RAY, "dask": DASK}[engine], encoding="utf-8")
    child = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    found = json.loads(next(line for line in reversed(child.stdout.splitlines()) if line.startswith("{")))
    space = small_space()
    expected = score(space, space.sample(40, 0), CHEAP, small_batch()).scores
    np.testing.assert_array_equal(np.array(found["scores"], dtype=float), expected)
    # Two at once, of which Ray loses one with its node: what was lost is tried again.
    assert [state for _, _, state, _, _ in found["lost"]] == ["complete"] * 8
    assert len({architecture for architecture, *_ in found["lost"]}) == 8
    assert found["one"] == _told(slow_ones)
    pruned, n_steps = found["pruned"]
    assert pruned == _told(climb, pruner="median", budget=14)
    assert any(state == "pruned" for _, _, state, _, _ in pruned)
    # The function returns no curve, so only pruned queries tell their steps; the others have reported all four.
    assert n_steps == sum(steps if state == "pruned" else 4 for _, _, state, steps, _ in pruned)


def _environment() -> dict[str, str]:
    import os

    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def _told(function, **settings) -> list:
    from robonas.objectives import FunctionObjective

    objective = FunctionObjective(function, takes="architecture", name="length")
    given = {"pool": 40, "budget": 8, "folder": None, "batch": small_batch(), "metrics": CHEAP}
    result = search(small_space(), objective, **(given | settings))
    return [
        [query.architecture, query.value, query.state, query.steps, list(query.pending)] for query in result.queries
    ]
