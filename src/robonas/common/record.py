"""The record of training-free metrics over published tasks: how good the networks were that each one put first.

Facts computed from the tables in `benchmarks/tables` by `benchmarks/metric_record.py`: scores of NAS-Bench-Suite-Zero
(Krishnakumar et al., NeurIPS 2022), accuracies of NAS-Bench-201 and TransNAS-Bench-101.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD: Mapping[str, Mapping[str, float]] = {
    "epe_nas": {"nasbench201": 0.14, "transnas_micro": 0.18, "transnas_macro": 0.09},
    "fisher": {"nasbench201": -0.2, "transnas_micro": -0.27, "transnas_macro": -0.03},
    "flops": {"nasbench201": 0.13, "transnas_micro": 0.09, "transnas_macro": 0.43},
    "grad_norm": {"nasbench201": -0.14, "transnas_micro": -0.13, "transnas_macro": 0.02},
    "grasp": {"nasbench201": -0.12, "transnas_micro": -0.09, "transnas_macro": -0.07},
    "jacov": {"nasbench201": 0.28, "transnas_micro": 0.15, "transnas_macro": 0.23},
    "l2_norm": {"nasbench201": 0.19, "transnas_micro": 0.09, "transnas_macro": 0.16},
    "nwot": {"nasbench201": 0.2, "transnas_micro": 0.1, "transnas_macro": 0.41},
    "params": {"nasbench201": 0.16, "transnas_micro": 0.09, "transnas_macro": 0.19},
    "plain": {"nasbench201": -0.14, "transnas_micro": -0.02, "transnas_macro": -0.08},
    "snip": {"nasbench201": -0.13, "transnas_micro": -0.09, "transnas_macro": 0.11},
    "synflow": {"nasbench201": 0.22, "transnas_micro": 0.28},
    "zen": {"nasbench201": -0.25, "transnas_micro": 0.13},
}
"""Gain of each metric by family of spaces: the mean share of all networks that are no better than the best 2 % by the
metric, minus one half, over the tasks of the family. 0.5 is the most; a metric that says nothing has 0."""

FAMILIES = tuple(sorted({family for gains in RECORD.values() for family in gains}))
"""Families of spaces whose tables the record was computed from."""


def record_of_metrics(without: str | None = None) -> dict[str, float]:
    """Return the mean gain of each metric over the families of spaces, at least 0.

    Args:
        without: Family that is left out, for an honest judgement on a task of that family; None for none.
    """
    kept = {metric: [gain for family, gain in gains.items() if family != without] for metric, gains in RECORD.items()}
    return {metric: max(0.0, sum(gains) / len(gains)) for metric, gains in kept.items() if gains}
