"""The map over many items: what it leaves behind when nobody wants the rest.

That no process is left is seen after every test.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from robonas.errors import StudyError
from robonas.processes import workers
from robonas.processes.executors import engine_of, working_on
from robonas.processes.parallel import spread


def double(items, tell):
    for item in items:
        tell(item, 2 * item)


def refuse(items, tell):
    raise ValueError("no")


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_values_that_nobody_takes_leave_no_worker(n, n_jobs):
    values = spread(double, range(n), n_jobs=n_jobs, chunk=1, dead=lambda *_: None)
    assert next(values) == {0: 0} or n_jobs == 2
    values.close()


def test_workers_are_kept_and_used_again():
    for n in range(20):
        (found,) = spread(double, [n], n_jobs=1, chunk=1, dead=lambda *_: None)
        assert found == {n: 2 * n}
        assert len(workers._kept) == 1


def test_an_error_leaves_no_worker():
    with pytest.raises(ValueError, match="no"):
        list(spread(refuse, [1, 2, 3], n_jobs=2, chunk=1, dead=lambda *_: None))


def test_an_executor_that_was_shut_down_is_told():
    executor = ThreadPoolExecutor(1)
    with working_on(engine_of(executor)):
        (found,) = spread(double, [1, 2], n_jobs=1, chunk=2, dead=lambda *_: None)
        assert found == {1: 2, 2: 4}
        executor.shutdown()
        with pytest.raises(StudyError, match=r"The executor is broken .* run the search again with a new one"):
            list(spread(double, [1, 2], n_jobs=1, chunk=2, dead=lambda *_: None))
