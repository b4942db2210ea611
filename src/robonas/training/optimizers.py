"""The optimisers of a recipe: stochastic gradient descent with momentum, and AdamW."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robonas.errors import ObjectiveError

if TYPE_CHECKING:
    from torch import nn

    from robonas.training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe for the parameters of a network that are to be trained.

    Weight decay acts on tensors of two or more dimensions, or on all. With AdamW it does not act on those that the
    network names in a method `no_weight_decay`, as timm's transformers do for the positions of patches.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, arXiv 1711.05101, algorithm 2. As
        usual, and other than there, the decay of a step is times the learning rate: θ ← θ - ηλθ. ε is 1e-8.

    Raises:
        ObjectiveError: The network has nothing to train.
    """
    trainable = [(name, entry) for name, entry in network.named_parameters() if entry.requires_grad]
    if not trainable:
        raise ObjectiveError("The network has no parameters to train.")
    spared = _spared(network) if recipe.optimizer == "adamw" else frozenset()
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, entry in trainable:
        acts = recipe.decay_all or (entry.ndim >= 2 and name not in spared)
        (decayed if acts else others).append(entry)
    groups = [
        {"params": decayed, "weight_decay": recipe.decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.rate, betas=(recipe.momentum, recipe.beta2))
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.nesterov)


def _spared(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that a network wants to keep from weight decay."""
    named = getattr(network, "no_weight_decay", None)
    return frozenset(map(str, named())) if callable(named) else frozenset()
