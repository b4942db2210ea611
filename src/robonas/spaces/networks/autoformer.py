"""The vision transformers of the AutoFormer space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD_WIDTH = 64
"""Width of one attention head."""


class Transformer(nn.Module):
    """Patches, positions, blocks, mean, classifier."""

    def __init__(
        self, input_shape: Sequence[int], patch: int, width: int, blocks: Sequence[nn.Module], n_classes: int
    ) -> None:
        super().__init__()
        channels, height, across = input_shape
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, (height // patch) * (across // patch), width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, n_classes)

    def no_weight_decay(self) -> set[str]:
        """Return the names of the parameters on which weight decay should not act: the positions, as in timm."""
        return {"positions"}

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions  # (n, patches, width)
        logits: Tensor = self.classifier(self.norm(self.blocks(tokens)).mean(1))
        return logits


class Block(nn.Module):
    """Attention, then a two-layer network; each after layer norm, and added to its input."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * heads * HEAD_WIDTH)
        self.project = nn.Linear(heads * HEAD_WIDTH, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return same shape, (n, patches, width)."""
        joined = self.queries_keys_values(self.attention_norm(x))
        q, k, v = joined.unflatten(-1, (3, self.heads, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)  # (n, heads, patches, 64)
        seen = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.project(seen.transpose(1, 2).flatten(2))
        y: Tensor = x + self.feed_forward(x)
        return y
