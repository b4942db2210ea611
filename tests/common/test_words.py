from __future__ import annotations

import pytest

from robonas.common.words import plural


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(0, "hit", "0 hits"), (1, "query", "1 query"), (2, "query", "2 queries"), (1200, "hit", "1,200 hits")],
)
def test_plural(count, noun, text):
    assert plural(count, noun) == text
