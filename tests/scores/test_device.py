"""Networks that are scored on another device: where there is no GPU, PyTorch's device without values stands for one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robonas.errors import ConfigError, ScoreTableError
from robonas.scores.scoring import Scorer, score
from robonas.study.loop import search
from robonas.study.plan import cache_file
from robonas.training import device as devices
from tests.fakes import CountParameters, small_batch, small_space

SPACE = small_space()
POOL = SPACE.sample(3, seed=1)


@pytest.fixture
def with_meta(monkeypatch):
    """The device `meta` may be chosen."""
    real = devices.choose_device
    monkeypatch.setattr(devices, "choose_device", lambda name: torch.device(name) if name == "meta" else real(name))


def on_meta(passes) -> float:
    return float(all(parameter.is_meta for parameter in passes.network.parameters()))


on_meta.needs = ()


@pytest.mark.parametrize("n_jobs", [0, 1])
def test_networks_are_on_the_device_here_and_in_workers(with_meta, n_jobs) -> None:
    assert (score(SPACE, POOL, [on_meta], small_batch(), n_jobs=n_jobs, device="meta").scores == 1).all()
    assert (score(SPACE, POOL, [on_meta], small_batch(), n_jobs=n_jobs).scores == 0).all()


def test_a_search_scores_there_and_remembers_that(with_meta, tmp_path) -> None:
    plan = {"metrics": [on_meta], "pool": 3, "budget": 1, "n_jobs": 0, "strategy": "average_rank", "folder": tmp_path}
    found = search(SPACE, CountParameters(), score_device="meta", **plan)
    assert (found.scores.scores == 1).all()
    assert found.scores.provenance["device"] == "meta"


def test_scores_of_two_kinds_of_device_do_not_meet(with_meta, tmp_path) -> None:
    here, there = (Scorer(SPACE, small_batch(), device=name) for name in ("cpu", "meta"))
    assert cache_file(here) != cache_file(there)
    cache = tmp_path / "scores.parquet"
    assert "device" not in score(SPACE, POOL, ["params"], small_batch(), n_jobs=0, cache=cache).provenance
    with pytest.raises(ScoreTableError, match=r"another device \(cpu\) than this run's \(meta\)"):
        score(SPACE, POOL, [on_meta], small_batch(), n_jobs=0, cache=cache, device="meta")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "xpu"])
def test_a_device_that_is_none_is_told_before_any_work(name) -> None:
    with pytest.raises(ConfigError, match="Device"):
        score(SPACE, POOL, ["params"], small_batch(), device=name)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_shared_by_two_workers_gives_the_scores_of_the_cpu() -> None:
    names = ["grad_norm", "snip", "synflow", "jacov", "params"]
    here = score(SPACE, POOL, names, small_batch())
    there = score(SPACE, POOL, names, small_batch(), device="cuda", n_jobs=2)
    np.testing.assert_allclose(there.scores, here.scores, rtol=1e-3)
