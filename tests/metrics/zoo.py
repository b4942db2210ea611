"""Networks as people have them: every kind of layer, activation, normalisation and habit."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.metrics.networks import Residual, convnet


def headed(*layers: nn.Module, width: int = 6) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


def old_style(make) -> nn.Module:
    """Weight and spectral norm as they were before parametrizations; PyTorch warns of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return make()


class Standardised(nn.Conv2d):
    """A convolution that standardises its own weight."""

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / (spread + 1e-5), self.bias, self.stride, self.padding)


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """A transformer block by `nn.MultiheadAttention`, or by scaled dot product attention."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.embed = nn.Linear(3, 8)
        self.positions = nn.Parameter(torch.randn(1, 64, 8) * 0.1)
        self.norm = nn.LayerNorm(8)
        self.attend = (
            nn.Linear(8, 24) if kind == "sdpa" else nn.MultiheadAttention(8, 2, batch_first=kind != "sequence first")
        )
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        t = self.embed(tokens(x)) + self.positions
        h = self.norm(t)
        if self.kind == "sdpa":
            q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.attend(h).chunk(3, -1))
            a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        elif self.kind == "sequence first":
            h = h.transpose(0, 1)
            a = self.attend(h, h, h, need_weights=False)[0].transpose(0, 1)
        else:
            a = self.attend(h, h, h, need_weights=False)[0]
        t = t + a
        t = t + self.mlp(t)
        return self.head(t.mean(1))


class Windows(nn.Module):
    """Windows folded into the batch axis, as Swin has them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        windows = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 4, 5, 1).reshape(-1, 16, 3)
        return self.head(F.relu(self.layer(windows)).reshape(n, -1, 16, 8).mean((1, 2)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(tokens(x))[0][:, -1])


class Shared(nn.Module):
    """One convolution and one activation, called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.activation = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.activation(self.body(x))
        return self.head(x.mean((2, 3)))


class Statements(nn.Module):
    """In-place calls whose result nobody takes, on tensors, on views and on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2.0)
        x = self.stem(x)
        alias = x
        x.relu_()
        y = alias + 0.0  # `alias` saw it
        flat = y.flatten(2)
        y.add_(1.0)  # `flat` sees it
        x = y
        x[:, 0].mul_(0.5)
        x += 0.25
        return self.head((flat.mean(2) + x.mean((2, 3))) / 2.0)


class StatementsTwin(Statements):
    """The same function without in-place calls."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(2.0 * x)) + 1.0
        x = torch.cat([0.5 * x[:, :1], x[:, 1:]], 1) + 0.25
        return self.head(x.mean((2, 3)))


ZOO = {
    "convolutions": convnet,
    "in place": lambda: convnet(lambda: nn.ReLU(inplace=True)),
    "functional, in place": lambda: Residual(inplace=True),
    "functional": lambda: Residual(inplace=False),
    "GELU": lambda: convnet(nn.GELU),
    "SiLU in place": lambda: convnet(lambda: nn.SiLU(inplace=True)),
    "no activation": lambda: headed(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)),
    "no norm": lambda: headed(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU()),
    "group norm": lambda: convnet(norm=lambda width: nn.GroupNorm(2, width)),
    "instance norm": lambda: convnet(norm=lambda width: nn.InstanceNorm2d(width, affine=True)),
    "depthwise": lambda: headed(
        nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6, padding=1), nn.BatchNorm2d(6), nn.ReLU6()
    ),
    "transposed": lambda: headed(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.ConvTranspose2d(6, 6, 3, 2, groups=2), nn.ReLU()),
    "weight norm": lambda: headed(parametrizations.weight_norm(nn.Conv2d(3, 6, 3)), nn.ReLU()),
    "old weight norm": lambda: headed(old_style(lambda: nn.utils.weight_norm(nn.Conv2d(3, 6, 3))), nn.ReLU()),
    "spectral norm": lambda: headed(parametrizations.spectral_norm(nn.Conv2d(3, 6, 3)), nn.ReLU()),
    "old spectral norm": lambda: headed(old_style(lambda: nn.utils.spectral_norm(nn.Conv2d(3, 6, 3))), nn.ReLU()),
    "standardised": lambda: headed(Standardised(3, 6, 3), nn.ReLU(), Standardised(6, 6, 3), nn.ReLU()),
    "attention": lambda: Attention("batch first"),
    "attention, sequence first": lambda: Attention("sequence first"),
    "dot product attention": lambda: Attention("sdpa"),
    "windows": Windows,
    "recurrent": Recurrent,
    "shared": Shared,
    "statements": Statements,
    "dropout": lambda: headed(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3)),
    "multilayer perceptron": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 4)),
    "norm of one value": lambda: nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4))
    ),
    "one dimension": lambda: nn.Sequential(
        *(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 6, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4)),
    ),
    "three dimensions": lambda: nn.Sequential(
        *(nn.Conv3d(3, 6, 3), nn.BatchNorm3d(6), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 4)),
    ),
}
SHAPES = {"one dimension": (3, 32), "three dimensions": (3, 5, 5, 5)}
NO_RECTIFIER = {"linear_regions", "naswot_gram", "nwot", "swap", "swap_reg"}
NO_CONVOLUTION = {"meco", "meco_opt"}
ONE_BLOCK = {"az_progressivity", "az_trainability"}
NO_BLOCKS = {"az_expressivity", "az_progressivity", "az_trainability"}
UNDEFINED = {
    "no activation": NO_RECTIFIER,
    "statements": ONE_BLOCK,
    "standardised": {"log_synflow"},
    "weight norm": {"ntk_cond"},
    "spectral norm": {"ntk_cond"},
    "attention": NO_CONVOLUTION,
    "attention, sequence first": NO_CONVOLUTION,
    "dot product attention": NO_CONVOLUTION,
    "windows": NO_CONVOLUTION | NO_BLOCKS,
    "recurrent": NO_RECTIFIER | NO_CONVOLUTION | NO_BLOCKS | {"naswot_layers"},
    "multilayer perceptron": NO_CONVOLUTION,
    "norm of one value": {"gradsign", "ntk_cond", "ntk_trace", "synflow_bn"},
}
"""Metrics that have no value there, for reasons that they give."""
