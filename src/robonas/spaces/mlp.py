"""Multi-layer perceptrons for tabular data.

Source: Ours, after the regularised networks that are strong on tables (Kadra et al., NeurIPS 2021, arXiv 2106.11189).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from robonas.common.lazy import nn
from robonas.spaces.layered import LayeredSpace, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.architecture import Architecture, Option

_STAGES = (Stage("layers", (0, 1, 2, 3, 4), {"width": (16, 32, 64, 128, 256, 512)}),)
_ACTIVATIONS: Mapping[str, str] = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "tanh": "Tanh"}
"""By name of the class in `torch.nn`; so are the norms."""
_NORMS: Mapping[str, str] = {"none": "Identity", "batch": "BatchNorm1d", "layer": "LayerNorm"}
_WHOLE: Mapping[str, tuple[Option, ...]] = {
    "activation": tuple(_ACTIVATIONS),
    "norm": tuple(_NORMS),
    "dropout": (0.0, 0.1, 0.3),
    "residual": (False, True),
}


class MLP(LayeredSpace):
    """Perceptrons of up to four hidden layers.

    Each hidden layer is linear, a norm, an activation and dropout; with ``residual``, a layer as wide as the one before
    adds its input. Without hidden layers this is a linear model. Inputs of any shape are flattened.

    What makes no difference is at its first option in the canonical form: everything but the layers of a linear model,
    and ``residual`` where no two neighbouring layers are of one width.

    Texts are like ``{"activation":"relu","norm":"batch","dropout":0.1,"residual":false,"layers":[[64],[32]]}``.

    Args:
        input_shape: Shape of one sample, such as (30,) for thirty columns.
        n_classes: Width of the last layer.
    """

    name = "mlp"

    def __init__(self, *, input_shape: Sequence[int] = (32,), n_classes: int = 10) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)

    @property
    def whole(self) -> Mapping[str, tuple[Option, ...]]:
        """Activation, norm, dropout, and whether layers add their input."""
        return _WHOLE

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The hidden layers."""
        return _STAGES

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture with what makes no difference at its first option."""
        architecture = self.check(architecture)
        widths = self._widths(architecture)
        if not widths:
            return architecture.replace(**{name: options[0] for name, options in _WHOLE.items()})
        if not any(one == other for one, other in zip([math.prod(self.input_shape), *widths], widths, strict=False)):
            return architecture.replace(residual=False)
        return architecture

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network of these layers; see the class."""
        from robonas.spaces.networks.mlp import Residual

        architecture = self.check(architecture)
        sizes = [math.prod(self.input_shape), *self._widths(architecture)]
        layers: list[nn.Module] = [nn.Flatten()]
        for size, width in itertools.pairwise(sizes):
            layer = nn.Sequential(
                nn.Linear(size, width),
                getattr(nn, _NORMS[str(architecture["norm"])])(width),
                getattr(nn, _ACTIVATIONS[str(architecture["activation"])])(),
                nn.Dropout(float(str(architecture["dropout"]))),
            )
            layers.append(Residual(layer) if architecture["residual"] and size == width else layer)
        return nn.Sequential(*layers, nn.Linear(sizes[-1], self.n_classes))

    def _widths(self, architecture: Architecture) -> list[int]:
        return [layer["width"] for layer in self.layers(architecture, self.stages[0])]
