"""Training-free metrics: how good a network looks before training.

Adding one: a file beside this one with a `Metric`, and a line in `METRICS`. The laws in `tests/laws` find it there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.common.registry import import_object, lookup, matching
from robonas.errors import ConfigError, MetricError
from robonas.metrics.az_nas import AZ_COMPLEXITY, AZ_EXPRESSIVITY, AZ_PROGRESSIVITY, AZ_TRAINABILITY
from robonas.metrics.base import DEAR, Metric, Need, Score
from robonas.metrics.epe_nas import EPE_NAS
from robonas.metrics.fisher import FISHER
from robonas.metrics.flops import FLOPS
from robonas.metrics.grad_norm import GRAD_NORM
from robonas.metrics.grasp import GRASP, GRASP_BN
from robonas.metrics.guard import is_foreign
from robonas.metrics.jacob_cov import JACOB_COV
from robonas.metrics.jacov import JACOV
from robonas.metrics.l2_norm import L2_NORM
from robonas.metrics.meco import MECO, MECO_OPT
from robonas.metrics.naswot import NASWOT_GRAM, NASWOT_LAYERS
from robonas.metrics.nwot import NWOT
from robonas.metrics.params import PARAMS
from robonas.metrics.plain import PLAIN
from robonas.metrics.regions import LINEAR_REGIONS, SWAP, SWAP_REG, regularised_swap
from robonas.metrics.sample_gradients import GRADSIGN, NTK_CONDITION, NTK_TRACE
from robonas.metrics.snip import SNIP
from robonas.metrics.structure import DEPTH, LATENCY, LAYERS, MACS, PEAK_MEMORY
from robonas.metrics.synflow import LOG_SYNFLOW, SYNFLOW, SYNFLOW_BN
from robonas.metrics.vkdnw import VKDNW
from robonas.metrics.zen import ZEN
from robonas.metrics.zico import ZICO

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robonas.datasets.batch import Batch
    from robonas.metrics.passes.passes import Passes
else:

    def __getattr__(name: str) -> Any:
        if name == "Passes":  # with all that it needs of PyTorch, on first use
            from robonas.metrics.passes.passes import Passes

            return Passes
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


MetricLike: TypeAlias = str | Metric | Callable[["Passes"], float]
"""A name in `METRICS`, ``package.module:NAME``, a `Metric`, or a function from `Passes` to a number."""

LABELLED = frozenset({Need.GRADIENTS, Need.SALIENCIES, Need.HESSIAN, Need.CURVATURE, Need.NORMED_CURVATURE})
"""Needs that read the targets."""

METRICS: Mapping[str, Metric] = {
    "az_complexity": AZ_COMPLEXITY,
    "az_expressivity": AZ_EXPRESSIVITY,
    "az_progressivity": AZ_PROGRESSIVITY,
    "az_trainability": AZ_TRAINABILITY,
    "depth": DEPTH,
    "epe_nas": EPE_NAS,
    "fisher": FISHER,
    "flops": FLOPS,
    "grad_norm": GRAD_NORM,
    "gradsign": GRADSIGN,
    "grasp": GRASP,
    "grasp_bn": GRASP_BN,
    "jacob_cov": JACOB_COV,
    "jacov": JACOV,
    "l2_norm": L2_NORM,
    "latency": LATENCY,
    "layers": LAYERS,
    "linear_regions": LINEAR_REGIONS,
    "log_synflow": LOG_SYNFLOW,
    "macs": MACS,
    "meco": MECO,
    "meco_opt": MECO_OPT,
    "naswot_gram": NASWOT_GRAM,
    "naswot_layers": NASWOT_LAYERS,
    "ntk_cond": NTK_CONDITION,
    "ntk_trace": NTK_TRACE,
    "nwot": NWOT,
    "params": PARAMS,
    "peak_memory": PEAK_MEMORY,
    "plain": PLAIN,
    "snip": SNIP,
    "swap": SWAP,
    "swap_reg": SWAP_REG,
    "synflow": SYNFLOW,
    "synflow_bn": SYNFLOW_BN,
    "vkdnw": VKDNW,
    "zen": ZEN,
    "zico": ZICO,
}
"""Every metric by name."""


def list_metrics(pattern: str = "*") -> list[str]:
    """Return the names of all training-free metrics that match a pattern.

    Args:
        pattern: A name with ``*`` and ``?`` as in a shell.

    Example:
        >>> list_metrics("*grad*")
        ['grad_norm', 'gradsign']
    """
    return matching(pattern, METRICS)


def resolve_metrics(names_or_objects: Sequence[MetricLike]) -> tuple[Metric, ...]:
    """Return the metrics that names, references, functions and `Metric` objects stand for, in their order.

    A plain function becomes a metric of its own name. It reads the passes that its attribute ``needs`` lists (members
    of `Need` or their names); without one, what a forward and a backward pass give. The attributes ``higher_is_better``
    and ``by_class`` mean what they do in `Metric`.

    Args:
        names_or_objects: At least one; see `MetricLike`.

    Raises:
        UnknownNameError: A name that is not in `METRICS`, or a reference to nothing.
        ConfigError: None at all, two of the same name, or an object that is no metric.

    Example:
        >>> [metric.name for metric in resolve_metrics(["snip", "params"])]
        ['snip', 'params']
    """
    if isinstance(names_or_objects, str):
        raise ConfigError(
            f"`metrics` must be a sequence; got the string {names_or_objects!r}. Write [{names_or_objects!r}]."
        )
    metrics = tuple(_resolve(item) for item in names_or_objects)
    if not metrics:
        raise ConfigError(f"`metrics` must name at least one metric; got none. Known: {', '.join(METRICS)}.")
    names = [metric.name for metric in metrics]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(
            f"`metrics` must name each metric once; got {repeated[0]!r} {names.count(repeated[0])} times."
        )
    return metrics


def _resolve(item: Any) -> Metric:
    if isinstance(item, str):
        found = import_object("metric", item) if ":" in item else lookup("metric", item, METRICS)
        return found if isinstance(found, Metric) else _from_function(found, item)
    return item if isinstance(item, Metric) else _from_function(item, repr(item))


def _from_function(function: Any, label: str) -> Metric:
    """Return a metric from a user's function."""
    if not callable(function) or isinstance(function, type):
        raise ConfigError(
            f"A metric must be a name, a Metric or a function of Passes; got {label} that is a "
            f"{type(function).__name__}."
        )
    needs = getattr(function, "needs", (Need.ACTIVATIONS, Need.GRADIENTS))
    try:
        needs = frozenset(need if isinstance(need, Need) else Need[need.upper()] for need in needs)
    except (KeyError, AttributeError, TypeError):
        known = ", ".join(need.name for need in Need)
        raise ConfigError(f"`needs` of metric {label} must list members of Need ({known}); got {needs!r}.") from None
    doc = (function.__doc__ or "").strip()
    return Metric(
        name=getattr(function, "__name__", type(function).__name__),
        compute=function,
        needs=needs,
        meaning=doc.splitlines()[0] if doc else "A user's metric.",
        formula="see its code",
        source=f"{getattr(function, '__module__', '?')}",
        higher_is_better=bool(getattr(function, "higher_is_better", True)),
        needs_labels=bool(needs & LABELLED),
        by_class=bool(getattr(function, "by_class", False)),
    )


def score_network(
    network: nn.Module,
    batch: Batch,
    metrics: Sequence[MetricLike],
    *,
    seed: int = 0,
    logits: Callable[[Any], Tensor] | None = None,
    micro_batch: int | None = None,
) -> dict[str, Score]:
    """Return the scores of one network.

    All metrics share passes: one forward of the batch, one backward of the loss, and so on, each made only if some
    metric reads it. The network is scored in training mode, whatever its mode is, and nothing of it, of the batch or of
    the random generators changes.

    Args:
        network: Any module that maps the batch's inputs to (n, n_classes).
        batch: The samples that all metrics see.
        metrics: Names, references, functions or `Metric` objects; see `resolve_metrics`.
        seed: Seed of dropout and of what metrics draw.
        logits: Picks the logits from what the network returns, if that is a tuple, a dict or an object.
        micro_batch: Run at most so many samples at a time, where the value stays the same; None runs all at once.

    Returns:
        A score for every metric by name: a finite value, or NaN with the reason, which names the metric.

    Raises:
        UnknownNameError: A metric does not exist.
        ConfigError: `metrics` or `micro_batch` cannot be used.
        NetworkError: The network fails on the batch or returns something else than logits.

    Example:
        >>> import torch
        >>> from robonas.datasets.batch import Batch
        >>> batch = Batch(torch.eye(4), torch.tensor([0, 1, 0, 1]), n_classes=2)
        >>> score_network(torch.nn.Linear(4, 2), batch, ["params"])["params"].value
        1e-05
    """
    from robonas.metrics.engine import score_resolved

    return score_resolved(network, batch, resolve_metrics(metrics), seed=seed, logits=logits, micro_batch=micro_batch)


def left_out(network: nn.Module, batch: Batch, *, logits: Callable[[Any], Tensor] | None = None) -> dict[str, str]:
    """Return what the scores of a network leave out, and why.

    Args:
        network: Any module that maps the batch's inputs to (n, n_classes).
        batch: The samples.
        logits: Picks the logits from what the network returns.

    Returns:
        Reasons by the names of parameters that are no weights (biases, norms, embeddings, recurrent layers, free ones),
        of weights that are frozen or unused, and of calls whose samples cannot be told apart.

    Raises:
        NetworkError: The network fails on the batch or returns something else than logits.

    Example:
        >>> import torch
        >>> from robonas.datasets.batch import Batch
        >>> batch = Batch(torch.eye(4), torch.tensor([0, 1, 0, 1]), n_classes=2)
        >>> left_out(torch.nn.Linear(4, 2), batch)
        {'bias': 'bias'}
    """
    from robonas.metrics.passes.networks import scoring_mode
    from robonas.metrics.passes.passes import Passes

    needs = frozenset({Need.GRADIENTS, Need.SALIENCIES, Need.CODES, Need.LAYER_CODES})
    passes = Passes(network, batch, needs, logits=logits)
    with scoring_mode(network), contextlib.suppress(MetricError):
        passes.gradients  # noqa: B018  (makes the passes)
    return passes.left_out


__all__ = [
    "DEAR",
    "METRICS",
    "Metric",
    "MetricLike",
    "Need",
    "Passes",
    "Score",
    "is_foreign",
    "left_out",
    "list_metrics",
    "regularised_swap",
    "resolve_metrics",
    "score_network",
]
