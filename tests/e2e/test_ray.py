"""Scoring on a local Ray cluster of two workers: the same call, the same scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import CHEAP, small_batch, small_space

from robonas.scores.scoring import score

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json, joblib, ray
from ray.util.joblib import register_ray
from robonas.scores.scoring import score
from tests.fakes import CHEAP, small_batch, small_space

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
register_ray()
space = small_space()
with joblib.parallel_config(backend="ray"):
    table = score(space, space.sample(40, 0), CHEAP, small_batch(), n_jobs=2)
print(json.dumps(table.scores.tolist()))
ray.shutdown()
"""


@pytest.mark.slow
def test_ray_gives_the_same_scores() -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    child = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert child.returncode == 0, child.stderr
    space = small_space()
    expected = score(space, space.sample(40, 0), CHEAP, small_batch()).scores
    np.testing.assert_array_equal(np.array(json.loads(child.stdout.splitlines()[-1]), dtype=float), expected)
