"""Counts of every layer of `torch.nn` against counts by hand."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from robonas.costs.counting import count
from robonas.costs.size import network_size
from robonas.datasets.batch import Batch
from robonas.errors import MetricError
from robonas.metrics import score_network
from robonas.metrics.passes.needs import INPUT_IGNORED
from robonas.spaces import SearchSpace
from robonas.study.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.architecture import Architecture

SEQUENCE, IMAGE, VOLUME, FEATURES, TOKENS = (4, 6), (4, 6, 6), (4, 4, 4, 4), (8,), (5, 8)
NAMES = ["macs", "flops", "az_complexity", "depth", "params", "layers", "l2_norm"]


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer, and what one sample takes."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    macs: int = 0
    others: int = 0
    """ReLUs, batch norms and average poolings, as `flops` defines them."""
    depth: int | None = None
    params: int = 0
    weights: tuple[str, ...] | None = None
    """Those that the layer multiplies with; all parameters of two axes or more where not told."""
    use: Callable[[Any, Tensor], Any] = lambda layer, x: layer(x)


def old(make: Callable[[], nn.Module]) -> nn.Module:
    """Weight and spectral norm as they were before parametrizations; PyTorch warns of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return make()


def ready(layer: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """A lazy layer with its parameters."""
    layer(torch.zeros(2, *shape))
    return layer


def indices(layer: nn.Module, x: Tensor) -> Tensor:
    return layer((4 * torch.sigmoid(x)).long())


def first(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)[0]


def twice(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, x)


def attention(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, x, x)[0]


def encoder_layer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


def decoder_layer() -> nn.Module:
    return nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)


def unpool(layer: nn.Module, x: Tensor) -> Tensor:
    pool = (nn.functional.max_pool1d, nn.functional.max_pool2d, nn.functional.max_pool3d)[x.ndim - 3]
    return layer(*pool(x, 2, return_indices=True))


of = functools.partial
ROWS: dict[str, Row] = {
    # ── convolutions: outputs x weights behind each; transposed: inputs x weights of each ──
    "Conv1d": Row(of(nn.Conv1d, 4, 6, 3), SEQUENCE, macs=4 * 6 * 4 * 3, params=78),
    "Conv2d": Row(of(nn.Conv2d, 4, 6, 3, padding=1), IMAGE, macs=36 * 6 * 4 * 9, params=222),
    "Conv2d grouped": Row(
        of(nn.Conv2d, 4, 6, 3, stride=2, groups=2, dilation=2, padding=2), IMAGE, macs=9 * 6 * 2 * 9, params=114
    ),
    "Conv2d depthwise": Row(
        of(nn.Conv2d, 4, 4, 3, groups=4, padding="same", padding_mode="circular", bias=False),
        IMAGE,
        macs=36 * 4 * 9,
        params=36,
    ),
    "Conv3d": Row(of(nn.Conv3d, 4, 2, 2), VOLUME, macs=27 * 2 * 4 * 8, params=66),
    "ConvTranspose1d": Row(of(nn.ConvTranspose1d, 4, 6, 3, stride=2), SEQUENCE, macs=6 * 4 * 6 * 3, params=78),
    "ConvTranspose2d": Row(
        of(nn.ConvTranspose2d, 4, 6, 3, groups=2, stride=2, output_padding=1),
        IMAGE,
        macs=36 * 4 * 3 * 9,
        params=114,
    ),
    "ConvTranspose3d": Row(of(nn.ConvTranspose3d, 4, 2, 2), VOLUME, macs=64 * 4 * 2 * 8, params=66),
    "LazyConv1d": Row(lambda: ready(nn.LazyConv1d(6, 3), SEQUENCE), SEQUENCE, macs=288, params=78),
    "LazyConv2d": Row(lambda: ready(nn.LazyConv2d(6, 3, padding=1), IMAGE), IMAGE, macs=7776, params=222),
    "LazyConv3d": Row(lambda: ready(nn.LazyConv3d(2, 2), VOLUME), VOLUME, macs=1728, params=66),
    "LazyConvTranspose1d": Row(lambda: ready(nn.LazyConvTranspose1d(6, 3), SEQUENCE), SEQUENCE, macs=432, params=78),
    "LazyConvTranspose2d": Row(
        lambda: ready(nn.LazyConvTranspose2d(6, 3), IMAGE), IMAGE, macs=36 * 4 * 6 * 9, params=222
    ),
    "LazyConvTranspose3d": Row(lambda: ready(nn.LazyConvTranspose3d(2, 2), VOLUME), VOLUME, macs=4096, params=66),
    # ── linear ──
    "Linear": Row(of(nn.Linear, 8, 3), FEATURES, macs=24, params=27),
    "Linear of tokens": Row(of(nn.Linear, 8, 3), TOKENS, macs=5 * 24, params=27),
    "LazyLinear": Row(lambda: ready(nn.LazyLinear(3), FEATURES), FEATURES, macs=24, params=27),
    "Bilinear": Row(
        of(nn.Bilinear, 8, 6, 3), FEATURES, macs=3 * 8 * 6, params=147, use=lambda layer, x: layer(x, x[..., :6])
    ),
    "AdaptiveLogSoftmaxWithLoss": Row(  # head to 2 classes and 2 clusters; clusters through 4 and 2 channels
        of(nn.AdaptiveLogSoftmaxWithLoss, 8, 6, [2, 4], div_value=2.0),
        FEATURES,
        macs=8 * 4 + (8 * 4 + 4 * 2) + (8 * 2 + 2 * 2),
        depth=2,
        params=92,
        use=lambda layer, x: layer.log_prob(x),
    ),
    # ── recurrent: every weight once a step; 5 steps ──
    "RNN": Row(
        of(nn.RNN, 8, 6, num_layers=2, batch_first=True),
        TOKENS,
        macs=5 * (6 * 8 + 6 * 6 + 6 * 6 + 6 * 6),
        depth=2,
        params=180,
        use=first,
    ),
    "RNN with ReLU": Row(
        of(nn.RNN, 8, 6, nonlinearity="relu", batch_first=True),
        TOKENS,
        macs=5 * (6 * 8 + 6 * 6),
        others=5 * 6,
        params=96,
        use=first,
    ),
    "LSTM": Row(of(nn.LSTM, 8, 6, batch_first=True), TOKENS, macs=5 * 24 * (8 + 6), params=384, use=first),
    "LSTM, both ways": Row(
        of(nn.LSTM, 8, 6, batch_first=True, bidirectional=True), TOKENS, macs=2 * 1680, params=768, use=first
    ),
    "LSTM, projected": Row(
        of(nn.LSTM, 8, 6, batch_first=True, proj_size=3),
        TOKENS,
        macs=5 * (24 * (8 + 3) + 3 * 6),
        params=330,
        use=first,
    ),
    "GRU": Row(of(nn.GRU, 8, 6, batch_first=True), TOKENS, macs=5 * 18 * (8 + 6), params=288, use=first),
    "RNNCell": Row(of(nn.RNNCell, 8, 6), FEATURES, macs=6 * 14, params=96),
    "LSTMCell": Row(of(nn.LSTMCell, 8, 6), FEATURES, macs=24 * 14, params=384, use=first),
    "GRUCell": Row(of(nn.GRUCell, 8, 6), FEATURES, macs=18 * 14, params=288),
    # ── attention: projections, and two products of 2 heads x 5 x 5 x 4 ──
    "MultiheadAttention": Row(
        of(nn.MultiheadAttention, 8, 2, batch_first=True),
        TOKENS,
        macs=5 * 8 * 24 + 2 * 200 + 5 * 64,
        depth=2,
        params=288,
        use=attention,
    ),
    "MultiheadAttention without its map": Row(
        of(nn.MultiheadAttention, 8, 2, batch_first=True),
        TOKENS,
        macs=1680,
        depth=2,
        params=288,
        use=lambda layer, x: layer(x, x, x, need_weights=False)[0],
    ),
    "MultiheadAttention of other keys": Row(
        of(nn.MultiheadAttention, 8, 2, kdim=6, vdim=4, batch_first=True),
        TOKENS,
        macs=5 * (64 + 48 + 32 + 64) + 2 * 200,
        depth=2,
        params=240,
        use=lambda layer, x: layer(x, x[..., :6], x[..., :4])[0],
    ),
    "TransformerEncoderLayer": Row(encoder_layer, TOKENS, macs=1680 + 2 * 5 * 128, others=5 * 16, depth=4, params=600),
    "TransformerEncoder": Row(
        lambda: nn.TransformerEncoder(encoder_layer(), 2), TOKENS, macs=5920, others=160, depth=8, params=1200
    ),
    "TransformerDecoderLayer": Row(
        decoder_layer, TOKENS, macs=2 * 1680 + 2 * 5 * 128, others=80, depth=6, params=904, use=twice
    ),
    "TransformerDecoder": Row(
        lambda: nn.TransformerDecoder(decoder_layer(), 2),
        TOKENS,
        macs=9280,
        others=160,
        depth=12,
        params=1808,
        use=twice,
    ),
    "Transformer": Row(  # the longest way is through the encoder and the second attention of the decoder
        of(nn.Transformer, 8, 2, 1, 1, 16, batch_first=True),
        TOKENS,
        macs=2960 + 4640,
        others=160,
        depth=4 + 2 + 2,
        params=600 + 904 + 2 * 16,
        use=twice,
    ),
    # ── parametrised, normed, pruned: as the layer alone; its own products are made once ──
    "weight_norm": Row(
        lambda: parametrizations.weight_norm(nn.Linear(8, 3)), FEATURES, macs=24, params=30, weights=("weight",)
    ),
    "spectral_norm": Row(
        lambda: parametrizations.spectral_norm(nn.Linear(8, 3)), FEATURES, macs=24, params=27, weights=("weight",)
    ),
    "orthogonal": Row(
        lambda: parametrizations.orthogonal(nn.Conv2d(4, 6, 3, padding=1)),
        IMAGE,
        macs=7776,
        params=222,
        weights=("weight",),
    ),
    "orthogonal by reflections": Row(
        lambda: parametrizations.orthogonal(nn.Linear(8, 3), orthogonal_map="householder"),
        FEATURES,
        macs=24,
        params=27,
        weights=("weight",),
    ),
    "orthogonal, recurrent": Row(
        lambda: parametrizations.orthogonal(nn.RNN(8, 6, batch_first=True), "weight_hh_l0"),
        TOKENS,
        macs=420,
        params=96,
        weights=("weight_ih_l0", "weight_hh_l0"),
        use=first,
    ),
    "old weight_norm": Row(
        lambda: old(lambda: nn.utils.weight_norm(nn.Linear(8, 3))), FEATURES, macs=24, params=30, weights=("weight",)
    ),
    "old spectral_norm": Row(
        lambda: old(lambda: nn.utils.spectral_norm(nn.Linear(8, 3))),
        FEATURES,
        macs=24,
        params=27,
        weights=("weight",),
    ),
    "pruned": Row(
        lambda: prune.l1_unstructured(nn.Linear(8, 3), "weight", 0.5),
        FEATURES,
        macs=24,
        params=27,
        weights=("weight",),
    ),
    # ── no products: embeddings, norms ──
    "Embedding": Row(of(nn.Embedding, 5, 3), FEATURES, params=15, weights=(), use=indices),
    "EmbeddingBag": Row(of(nn.EmbeddingBag, 5, 3), FEATURES, params=15, weights=(), use=indices),
    "BatchNorm1d": Row(of(nn.BatchNorm1d, 4), SEQUENCE, others=2 * 24, params=8),
    "BatchNorm2d": Row(of(nn.BatchNorm2d, 4), IMAGE, others=2 * 144, params=8),
    "BatchNorm3d": Row(of(nn.BatchNorm3d, 4), VOLUME, others=2 * 256, params=8),
    "LazyBatchNorm1d": Row(lambda: ready(nn.LazyBatchNorm1d(), SEQUENCE), SEQUENCE, others=48, params=8),
    "LazyBatchNorm2d": Row(lambda: ready(nn.LazyBatchNorm2d(), IMAGE), IMAGE, others=288, params=8),
    "LazyBatchNorm3d": Row(lambda: ready(nn.LazyBatchNorm3d(), VOLUME), VOLUME, others=512, params=8),
    "SyncBatchNorm": Row(of(nn.SyncBatchNorm, 4), IMAGE, others=288, params=8),
    "InstanceNorm1d": Row(of(nn.InstanceNorm1d, 4), SEQUENCE, others=48),
    "InstanceNorm2d": Row(of(nn.InstanceNorm2d, 4, affine=True), IMAGE, others=288, params=8),
    "InstanceNorm3d": Row(of(nn.InstanceNorm3d, 4, track_running_stats=True), VOLUME, others=512),
    "LazyInstanceNorm1d": Row(lambda: ready(nn.LazyInstanceNorm1d(), SEQUENCE), SEQUENCE, others=48, params=8),
    "LazyInstanceNorm2d": Row(lambda: ready(nn.LazyInstanceNorm2d(), IMAGE), IMAGE, others=288, params=8),
    "LazyInstanceNorm3d": Row(lambda: ready(nn.LazyInstanceNorm3d(), VOLUME), VOLUME, others=512, params=8),
    "GroupNorm": Row(of(nn.GroupNorm, 2, 4), IMAGE, params=8),
    "LayerNorm": Row(of(nn.LayerNorm, [6, 6]), IMAGE, params=72, weights=()),
    "RMSNorm": Row(of(nn.RMSNorm, [6, 6]), IMAGE, params=36, weights=()),
    "LocalResponseNorm": Row(of(nn.LocalResponseNorm, 2), IMAGE, others=144 * 2),  # averages over 2 channels
    "CrossMapLRN2d": Row(of(nn.CrossMapLRN2d, 2), IMAGE),
    # ── poolings ──
    "MaxPool1d": Row(of(nn.MaxPool1d, 2), SEQUENCE),
    "MaxPool2d": Row(of(nn.MaxPool2d, 2), IMAGE),
    "MaxPool3d": Row(of(nn.MaxPool3d, 2), VOLUME),
    "MaxUnpool1d": Row(of(nn.MaxUnpool1d, 2), SEQUENCE, use=unpool),
    "MaxUnpool2d": Row(of(nn.MaxUnpool2d, 2), IMAGE, use=unpool),
    "MaxUnpool3d": Row(of(nn.MaxUnpool3d, 2), VOLUME, use=unpool),
    "AvgPool1d": Row(of(nn.AvgPool1d, 2), SEQUENCE, others=12 * 2),
    "AvgPool2d": Row(of(nn.AvgPool2d, 3, stride=1, padding=1), IMAGE, others=144 * 9),
    "AvgPool2d, oblong": Row(of(nn.AvgPool2d, (2, 3)), IMAGE, others=4 * 3 * 2 * 6),
    "AvgPool3d": Row(of(nn.AvgPool3d, 2), VOLUME, others=32 * 8),
    "LPPool1d": Row(of(nn.LPPool1d, 2, 2), SEQUENCE, others=12 * 2 + 12),  # an average, and a ReLU before the root
    "LPPool2d": Row(of(nn.LPPool2d, 2, 2), IMAGE, others=36 * 4 + 36),
    "LPPool3d": Row(of(nn.LPPool3d, 2, 2), VOLUME, others=32 * 8 + 32),
    "FractionalMaxPool2d": Row(of(nn.FractionalMaxPool2d, 2, output_size=3), IMAGE),
    "FractionalMaxPool3d": Row(of(nn.FractionalMaxPool3d, 2, output_size=2), VOLUME),
    "AdaptiveAvgPool1d": Row(of(nn.AdaptiveAvgPool1d, 1), SEQUENCE, others=4 * 7),
    "AdaptiveAvgPool1d to 3": Row(of(nn.AdaptiveAvgPool1d, 3), SEQUENCE, others=12 * 3),
    "AdaptiveAvgPool2d": Row(of(nn.AdaptiveAvgPool2d, 1), IMAGE, others=4 * 7 * 7),
    "AdaptiveAvgPool2d to 3": Row(of(nn.AdaptiveAvgPool2d, 3), IMAGE, others=36 * 3 * 3),
    "AdaptiveAvgPool3d": Row(of(nn.AdaptiveAvgPool3d, 1), VOLUME, others=4 * 5 * 5 * 5),
    "AdaptiveMaxPool1d": Row(of(nn.AdaptiveMaxPool1d, 1), SEQUENCE),
    "AdaptiveMaxPool2d": Row(of(nn.AdaptiveMaxPool2d, 1), IMAGE),
    "AdaptiveMaxPool3d": Row(of(nn.AdaptiveMaxPool3d, 1), VOLUME),
    # ── activations: ReLU and its kin 1 an element ──
    "ReLU": Row(nn.ReLU, FEATURES, others=8),
    "ReLU in place": Row(of(nn.ReLU, inplace=True), FEATURES, others=8, use=lambda layer, x: layer(x + 0)),
    "ReLU6": Row(nn.ReLU6, FEATURES, others=8),
    "LeakyReLU": Row(nn.LeakyReLU, FEATURES, others=8),
    "PReLU": Row(nn.PReLU, FEATURES, others=8, params=1),
    "RReLU": Row(nn.RReLU, FEATURES, others=8),
    "Threshold": Row(of(nn.Threshold, 0.0, 0.0), FEATURES, others=8),
    "Hardtanh": Row(nn.Hardtanh, FEATURES),
    "GLU": Row(nn.GLU, FEATURES),
    "Softmax": Row(of(nn.Softmax, 1), FEATURES),
    "Softmax2d": Row(nn.Softmax2d, IMAGE),
    "Softmin": Row(of(nn.Softmin, 1), FEATURES),
    "LogSoftmax": Row(of(nn.LogSoftmax, 1), FEATURES),
    **{
        name: Row(getattr(nn, name), FEATURES)
        for name in (
            *("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "LogSigmoid", "Mish", "SELU", "SiLU"),
            *("Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Identity", "Flatten"),
            *("Dropout", "AlphaDropout", "FeatureAlphaDropout"),
        )
    },
    # ── what moves numbers, or takes them one by one ──
    **{
        f"{kind}Pad{axes}d": Row(of(getattr(nn, f"{kind}Pad{axes}d"), 1, *extra), (SEQUENCE, IMAGE, VOLUME)[axes - 1])
        for kind, extra in (
            *(("Circular", ()), ("Constant", (1.0,)), ("Reflection", ()), ("Replication", ()), ("Zero", ())),
        )
        for axes in (1, 2, 3)
    },
    "Dropout1d": Row(nn.Dropout1d, SEQUENCE),
    "Dropout2d": Row(nn.Dropout2d, IMAGE),
    "Dropout3d": Row(nn.Dropout3d, VOLUME),
    "Upsample": Row(of(nn.Upsample, scale_factor=2, mode="trilinear"), VOLUME),
    "UpsamplingBilinear2d": Row(of(nn.UpsamplingBilinear2d, scale_factor=2), IMAGE),
    "UpsamplingNearest2d": Row(of(nn.UpsamplingNearest2d, scale_factor=2), IMAGE),
    "PixelShuffle": Row(of(nn.PixelShuffle, 2), IMAGE),
    "PixelUnshuffle": Row(of(nn.PixelUnshuffle, 2), IMAGE),
    "ChannelShuffle": Row(of(nn.ChannelShuffle, 2), IMAGE),
    "Unfold": Row(of(nn.Unfold, 2), IMAGE),
    "Fold": Row(
        of(nn.Fold, (6, 6), 2, stride=2),
        IMAGE,
        use=lambda layer, x: layer(nn.functional.unfold(x, 2, stride=2)),
    ),
    "Unflatten": Row(of(nn.Unflatten, 1, (2, 4)), FEATURES),
    "CosineSimilarity": Row(nn.CosineSimilarity, IMAGE, use=lambda layer, x: layer(x, x.flip(1))),
    "PairwiseDistance": Row(nn.PairwiseDistance, IMAGE, use=lambda layer, x: layer(x, x.flip(1))),
    # ── containers ──
    "Sequential": Row(lambda: nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)), FEATURES, 66, 6, 2, 75),
    "ModuleList": Row(
        lambda: nn.ModuleList([nn.Linear(8, 3)]), FEATURES, 24, params=27, use=lambda layer, x: layer[0](x)
    ),
    "ModuleDict": Row(
        lambda: nn.ModuleDict({"a": nn.Linear(8, 3)}), FEATURES, 24, params=27, use=lambda layer, x: layer["a"](x)
    ),
    "DataParallel": Row(lambda: nn.DataParallel(nn.Linear(8, 3)), FEATURES, 24, params=27),
}
REFUSED = {
    **dict.fromkeys(("ParameterList", "ParameterDict"), "hold parameters, and compute nothing"),
    **dict.fromkeys(("Module", "Container", "RNNBase", "RNNCellBase"), "are bases, and compute nothing themselves"),
}
"""What has no row, and why; losses neither, since they take targets and are no part of a network."""


class Wrapped(nn.Module):
    """A layer between a batch and four logits, neither of which counts."""

    def __init__(self, layer: nn.Module, use: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.use = layer, use

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.tensor_split(self.use(self.layer, x).flatten(1), 4, dim=1)
        return torch.stack([part.sum(1) for part in parts], 1)


def batch(shape: tuple[int, ...]) -> Batch:
    return Batch(torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)), torch.arange(4) % 4, n_classes=4)


def counts(network: nn.Module, shape: tuple[int, ...], names: list[str] = NAMES):
    return score_network(network, batch(shape), names)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("name", ROWS)
def test_counts_are_those_by_hand(name: str) -> None:
    row = ROWS[name]
    torch.manual_seed(0)
    layer = row.make()
    found = counts(Wrapped(layer, row.use), row.shape)
    values = {key: score.value for key, score in found.items()}
    assert values["macs"] == pytest.approx(row.macs / 1e6, rel=1e-12), found["macs"].reason
    assert values["az_complexity"] == pytest.approx(2 * row.macs / 1e6, rel=1e-12)
    assert values["flops"] == pytest.approx((row.macs + row.others) / 1e6, rel=1e-12)
    assert values["depth"] == (row.depth if row.depth is not None else int(row.macs > 0))
    assert values["params"] == pytest.approx(row.params / 1e6, rel=1e-12)
    layer.eval()
    with torch.no_grad():
        row.use(layer, batch(row.shape).inputs)  # the older norms compute their weight here
        if row.weights is None:
            weights = [parameter for parameter in layer.parameters() if parameter.ndim > 1]
        else:
            weights = [getattr(layer, part) for part in row.weights]
    if not weights:
        for key in ("layers", "l2_norm"):
            assert math.isnan(values[key])
            assert found[key].reason == f"{key}: the network has no convolution, linear or recurrent layer"
        return
    assert values["layers"] == len(weights)
    assert values["l2_norm"] == pytest.approx(sum(weight.norm().item() for weight in weights), rel=1e-5)


def test_no_layer_of_pytorch_is_missing() -> None:
    known = {name.split()[0].rstrip(",") for name in ROWS} | set(REFUSED)
    layers = {name for name, entry in vars(nn).items() if inspect.isclass(entry) and issubclass(entry, nn.Module)}
    assert {name for name in layers - known if not name.rstrip("2d").endswith("Loss")} == set()
    assert {name for name in vars(parametrizations) if name in {"orthogonal", "spectral_norm", "weight_norm"}} <= known


class Cut(nn.Module):
    """A network whose gradient path is cut, by detaching or by computing without gradients."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.first, self.last = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "detach":
            return self.last(torch.relu(self.first(x)).detach()).detach()
        with torch.no_grad():
            return self.last(torch.relu(self.first(x)))


class Folded(nn.Module):
    """A convolution that TorchScript turns into an operation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layer(x)).mean((2, 3))


@pytest.mark.parametrize("way", ["detach", "no_grad"])
def test_depth_needs_no_gradient(way: str) -> None:
    found = counts(Cut(way), FEATURES)
    assert found["depth"].value == 2.0
    assert found["macs"].value == pytest.approx((48 + 24) / 1e6)


def six_layers() -> nn.Module:
    layers = [nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)]
    return nn.Sequential(*layers).eval()


def test_compiled_networks_count_the_same() -> None:
    network, names = six_layers(), ["macs", "flops", "depth"]
    wrapped = counts(torch.compile(network, backend="eager"), IMAGE, names)
    plain = counts(network, IMAGE, names)
    assert {name: wrapped[name].value for name in names} == {name: plain[name].value for name in names}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_scripted_networks_count_the_same_and_have_no_metrics() -> None:
    network = six_layers()
    scripted = old(lambda: torch.jit.script(network))
    assert count(scripted, batch(IMAGE).inputs) == count(network, batch(IMAGE).inputs)
    score = counts(scripted, IMAGE, ["macs"])["macs"]
    assert math.isnan(score.value)
    assert "the network is compiled by TorchScript" in str(score.reason)


class Elsewhere(nn.Module):
    """A network that computes where PyTorch does not see it."""

    def __init__(self, *, beside: bool) -> None:
        super().__init__()
        self.beside = beside
        self.layer = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.from_numpy(x.detach().numpy() @ self.layer.weight.detach().numpy().T)
        return hidden + self.layer(x) if self.beside else hidden


@pytest.mark.parametrize("beside", [False, True])
def test_what_cannot_be_seen_is_no_number(beside: bool) -> None:
    for name, score in counts(Elsewhere(beside=beside), FEATURES, ["macs", "flops", "depth", "az_complexity"]).items():
        assert math.isnan(score.value)
        assert score.reason == (
            f"{name}: the way from the input to the logits leaves PyTorch, where operations cannot be seen"
        )


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda x: torch.fft.fft(x).real, "aten._fft_r2c"),
        (lambda x: torch.linalg.solve(torch.eye(8) + x[:, :, None] * x[:, None], x), "aten._linalg_solve_ex"),
        (lambda x: torch.cdist(x.repeat(30, 1), x.repeat(30, 1))[: len(x)], "aten._euclidean_dist"),
    ],
)
def test_products_without_a_known_number_are_no_number(function, named: str) -> None:
    score = counts(Wrapped(nn.Linear(8, 8), lambda layer, x: layer(x) + function(x).sum(-1, keepdim=True)), FEATURES)
    assert math.isnan(score["macs"].value)
    assert named in str(score["macs"].reason)
    assert "whose multiply-adds are not known" in str(score["macs"].reason)


def test_free_products_count_too() -> None:
    def use(layer: nn.Module, x: Tensor) -> Tensor:
        scores = torch.einsum("nid,njd->nij", x, x).softmax(-1)  # 5 x 5 x 8
        return (scores @ x) @ layer.weight.T  # 5 x 5 x 8, then 5 x 8 x 3

    found = counts(Wrapped(nn.Linear(8, 3), use), TOKENS)
    assert found["macs"].value == pytest.approx((200 + 200 + 120) / 1e6)
    assert found["depth"].value == 1.0


def test_logits_that_ignore_the_input_have_no_depth_but_a_cost() -> None:
    found = counts(Wrapped(nn.Linear(8, 8), lambda layer, x: layer(torch.zeros_like(x))), FEATURES, ["macs", "depth"])
    assert found["macs"].value == pytest.approx(64 / 1e6)
    assert found["depth"].reason == f"depth: {INPUT_IGNORED}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_one_sample_is_enough_even_to_find_what_cannot_be_seen() -> None:
    assert count(nn.Linear(8, 4), torch.rand(1, 8)).macs == 32
    with pytest.raises(MetricError, match="cannot be seen"):
        count(torch.jit.optimize_for_inference(torch.jit.script(Folded().eval())), torch.rand(1, 4, 6, 6))


def test_counting_changes_nothing() -> None:
    network = nn.Sequential(parametrizations.spectral_norm(nn.Linear(8, 6)), nn.Dropout(), nn.Linear(6, 4))
    fast = torch.backends.mha.get_fastpath_enabled()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    counts(network, FEATURES)
    assert network.training
    assert torch.backends.mha.get_fastpath_enabled() is fast
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_network_of_one_batch_size_says_so() -> None:
    network = Wrapped(nn.Linear(8, 4), lambda layer, x: layer(x.reshape(4, 8)))
    score = score_network(network, batch(FEATURES), ["macs", "grad_norm"])["macs"]
    assert score.reason is not None
    assert "the network fails on two samples in evaluation mode" in score.reason


class Text(SearchSpace):
    """Networks of one recurrent layer, or of one that cannot be counted."""

    name = "text"
    choices: ClassVar = {"layer": ("lstm", "elsewhere")}

    def build(self, architecture: Architecture) -> nn.Module:
        if architecture["layer"] == "lstm":
            return Wrapped(nn.LSTM(8, 6, batch_first=True), first)
        return Wrapped(Elsewhere(beside=True), lambda layer, x: layer(x[:, 0]))


def test_one_definition_everywhere() -> None:
    """The metric, the bound, the space's measure and the size of the winner."""
    space = Text(input_shape=TOKENS, n_classes=4)
    lstm, elsewhere = space
    limits = Limits(max_macs=1e9)
    assert limits.cost(space, lstm, "macs") == 1680 == 1e6 * counts(space.build(lstm), TOKENS)["macs"].value
    assert network_size(lambda: space.build(lstm), TOKENS) == {"parameters": 384, "macs": 1680}
    assert network_size(lambda: space.build(elsewhere), TOKENS)["macs"] is None
    with pytest.raises(MetricError, match="cannot be seen"):
        limits.cost(space, elsewhere, "macs")
    judgement = limits.judge(space, space)
    assert judgement.allowed == [lstm]
    assert judgement.left_out == {"a cost that cannot be counted": 1}
    assert "where operations cannot be seen" in str(judgement.reasons[elsewhere])
