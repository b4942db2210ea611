"""Gradients of single samples, each passed through the network alone: GradSign and the neural tangent kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.datasets.targets import loss_of
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.linear_algebra import eigenvalues
from robonas.metrics.passes.needs import CUT
from robonas.metrics.passes.reading import numbers, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from robonas.metrics.passes.passes import Passes

MOST_VALUES = 1 << 30
"""Samples × parameters that the kernel holds at most; 4 GiB in float32."""
ALIKE = 1e-5
"""Logits that differ by less, relative to the largest, differ by rounding."""
ALONE = (
    "Every sample goes through the network alone, in training mode, so that batch norm takes the statistics of its "
    "own positions and does not tie samples together."
)


def sample_gradients(
    passes: Passes, parameters: dict[str, nn.Parameter], target: Callable[[Tensor, Tensor], Tensor]
) -> Iterator[tuple[Tensor | None, ...]]:
    """Compute for every sample the gradients of a scalar of its logits with respect to some parameters.

    Args:
        passes: Passes over the network and the batch.
        parameters: Parameters by name; frozen ones must not be among them.
        target: Function from the logits (1, n_classes) and targets of one sample to a scalar.

    Raises:
        MetricError: The network cannot take one sample, as batch norm over a single value cannot.
    """
    if not parameters:
        raise MetricError("every weight is frozen")
    inputs = passes.inputs()
    answers: list[Tensor] = []
    targets = passes.batch.targets.to(inputs.device)
    for place in range(len(inputs)):
        one = slice(place, place + 1)
        try:
            result = passes.run(inputs[one], recorder=passes.recorder(), purpose="one sample")
        except ValueError as error:
            raise MetricError(f"the network cannot take a single sample in training mode: {error}") from error
        logits = passes.pick(result)
        scalar = target(logits, targets[one])
        if not scalar.requires_grad:
            raise MetricError(CUT)
        answers.append(logits.detach())
        yield torch.autograd.grad(scalar, list(parameters.values()), allow_unused=True)
    found = torch.cat(answers)
    if bool((found - found[:1]).abs().max() <= ALIKE * found.abs().max()):
        # A batch norm before global pooling, for one: over one sample, it makes the mean of every channel the same.
        raise MetricError("the logits of a sample alone, in training mode, do not depend on it")


def gradsign(passes: Passes) -> float:
    """Return how much the samples agree on the direction of every weight."""
    weights = {name: weight for name, weight in passes.weights.items() if weight.requires_grad}
    task = passes.batch.task
    votes = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for gradients in sample_gradients(passes, weights, lambda logits, target: loss_of(logits, target, task)):
        for vote, gradient in zip(votes.values(), gradients, strict=True):
            if gradient is not None:
                vote.add_(gradient.sign())
    agreement = total(vote.abs().sum(dtype=torch.float64) for vote in votes.values())
    if agreement == 0.0:
        raise MetricError("no sample pulls at any weight")
    return agreement


def ntk_condition(passes: Passes) -> float:
    """Return the largest over smallest eigenvalue of the neural tangent kernel of the summed logits."""
    parameters = {
        name: parameter
        for name, parameter in passes.network.named_parameters()
        if parameter.requires_grad and "weight" in name.rsplit(".", 1)[-1]
    }
    if not parameters and not any(
        "weight" in name.rsplit(".", 1)[-1] for name in dict(passes.network.named_parameters())
    ):
        raise MetricError("the network has no parameter called weight")
    size = sum(parameter.numel() for parameter in parameters.values())
    n = len(passes.batch)
    if n * size > MOST_VALUES:
        raise MetricError(
            f"the gradients of {n} samples in {size:,} parameters need {4 * n * size / 2**30:.0f} GiB; use a batch "
            f"of at most {MOST_VALUES // size}"
        )
    rows = [
        torch.cat(
            [_flat(gradient, parameter) for gradient, parameter in zip(gradients, parameters.values(), strict=True)]
        )
        for gradients in sample_gradients(passes, parameters, lambda logits, _: logits.sum())
    ]
    spectrum = eigenvalues(_gram(torch.stack(rows)))
    low, high = numbers([spectrum[0], spectrum[-1]])
    if high == 0.0:
        raise MetricError("the gradient of the logits is zero in every parameter called weight")
    if low <= n * torch.finfo(rows[0].dtype).eps * high:
        raise MetricError("the kernel is singular up to rounding, so that its condition number is infinite")
    return high / low


def ntk_trace(passes: Passes) -> float:
    """Return the root mean squared norm of the gradient of a sample's own logit."""
    weights = {name: weight for name, weight in passes.weights.items() if weight.requires_grad}
    biases = {
        name: parameter
        for name, parameter in passes.network.named_parameters()
        if parameter.requires_grad and passes.left_out.get(name) == "bias"
    }
    classes = passes.batch.task == "classification"

    def own_logit(logits: Tensor, target: Tensor) -> Tensor:
        return logits[0, target[0]] if classes else logits.sum()

    squares: list[Tensor] = []
    for gradients in sample_gradients(passes, weights | biases, own_logit):
        squares += [g.square().sum(dtype=torch.float64) for g in gradients if g is not None]
    norm = total(squares)
    if norm == 0.0:
        raise MetricError("the gradient of a sample's own logit is zero in every weight")
    return math.sqrt(norm / len(passes.batch))


def _flat(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()


def _gram(rows: Tensor) -> Tensor:
    """Return the rows times their transpose in float64, some columns at a time."""
    kernel = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for part in torch.split(rows, 1 << 16, dim=1):
        wide = part.double()
        kernel += wide @ wide.T
    return kernel


GRADSIGN = Metric(
    name="gradsign",
    compute=gradsign,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    sample_by_sample=True,
    brief="agreement of samples on where weights go",
    meaning="How much the samples' losses agree on which way to move every weight.",
    formula="Σ_k |Σ_n sign(∂L(f(x_n), y_n)/∂w_k)| over the weights of convolution and linear layers",
    source="Zhang, Jia, GradSign, ICLR 2022, arXiv 2110.08616, algorithm 1: the sum, as in the paper; some code "
    "takes the mean. " + ALONE,
    needs_labels=True,
    bounds=(0.0, math.inf),
    weaknesses="Grows with the number of weights; signs of gradients that are zero up to rounding are noise.",
    agreement="Spearman's .79, Kendall's .59",
    reported="GradSign reports .77 over all cells (recalled, not checked)",
)

NTK_CONDITION = Metric(
    name="ntk_cond",
    compute=ntk_condition,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    sample_by_sample=True,
    brief="unevenness of learning",
    meaning="How unevenly gradient descent would learn the directions that the batch spans.",
    formula="λ_max/λ_min of Θ = J Jᵀ, row n of J the gradient of Σ_c z_nc in every parameter called weight, norms "
    "included",
    source="Chen, Gong, Wang, TE-NAS, ICLR 2021, arXiv 2102.11535, section 3.1.1. As the authors' code, of the sum of "
    "logits. " + ALONE + " Their networks are thinned and drawn by Kaiming's law; here the network is scored as it is.",
    higher_is_better=False,
    bounds=(1.0, math.inf),
    weaknesses="Noisy for large batches; costs a pass a sample.",
    agreement="Spearman's .69, Kendall's .49",
    reported="TE-NAS reports Kendall's .42 on CIFAR-100, with networks of 3 channels and batches of 72 (recalled, "
    "not checked). At that setting every kernel is singular up to rounding here, where each sample goes alone",
)

NTK_TRACE = Metric(
    name="ntk_trace",
    compute=ntk_trace,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    sample_by_sample=True,
    brief="reaction of the answers to the parameters",
    meaning="How strongly the network's own answers react to its parameters.",
    formula="√(tr Θ / n) = √(mean_n ‖∂z_{n,y_n}/∂θ‖²) over weights and biases of convolution and linear layers",
    source="Shu, Dai, Wu, Low, HNAS, NeurIPS 2022, arXiv 2201.09785, and Shu, Cai, Dai, Ooi, Low, NASI, "
    "ICLR 2022, arXiv 2109.00817. " + ALONE + " Without classes, of the sum of outputs.",
    needs_labels=True,
    bounds=(0.0, math.inf),
    weaknesses="Grows with width, depth and exploding gradients.",
    agreement="Spearman's .66, Kendall's .46",
    reported="no figure of its paper is known to us",
)
