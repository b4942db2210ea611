"""The size of a network: counted, and read from a file."""

from __future__ import annotations

import pytest
from torch import nn

from robonas.costs.size import as_size, network_size


def test_the_size_by_hand() -> None:
    assert network_size(lambda: nn.Linear(8, 3), (8,)) == {"parameters": 27, "macs": 24}


@pytest.mark.parametrize("size", [{"parameters": 3, "macs": 0}, {"parameters": 0, "macs": None}])
def test_a_recorded_size_is_read(size) -> None:
    assert as_size({**size, "more": 1}) == size


@pytest.mark.parametrize(
    "found",
    [None, 3, [], {}, {"parameters": 3}, {"parameters": True, "macs": 1}, {"parameters": -1, "macs": 1},
     {"parameters": 3, "macs": 1.5}, {"parameters": 3, "macs": "1"}, {"macs": 1}],
)  # fmt: skip
def test_what_is_no_size_is_none(found) -> None:
    assert as_size(found) is None
