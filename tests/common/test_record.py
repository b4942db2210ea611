from __future__ import annotations

import importlib

import pytest

from robonas.common.record import RECORD, record_of_metrics
from robonas.metrics import METRICS
from tests.published import TABLES


def test_a_record_is_the_mean_over_families_and_never_negative() -> None:
    assert set(RECORD) <= set(METRICS)
    record = record_of_metrics()
    assert record["jacov"] == pytest.approx(sum(RECORD["jacov"].values()) / 3)
    assert record["fisher"] == 0.0
    gains = RECORD["jacov"]
    expected = (gains["transnas_micro"] + gains["transnas_macro"]) / 2
    assert record_of_metrics("nasbench201")["jacov"] == pytest.approx(expected)


def test_the_record_is_what_the_script_finds_on_the_tables(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(TABLES.parent))
    script = importlib.import_module("metric_record")
    assert script.measured(str(TABLES)) == RECORD
