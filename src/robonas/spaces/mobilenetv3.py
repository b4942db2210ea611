"""MobileNetV3 with chosen depths, kernels and expansions, as in once-for-all.

Source: Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment", ICLR 2020, arXiv
1908.09791; Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv 1905.02244. The number of architectures is the
published 2 · 10¹⁹. Networks are built alone, without the supernet's shared weights; no published parameter counts of
single architectures were at hand to check against.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from robonas.architecture import text_of
from robonas.common.lazy import nn
from robonas.common.reading import parse_json
from robonas.errors import ConfigError
from robonas.spaces.layered import LayeredSpace, Stage
from robonas.spaces.shapes import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.architecture import Architecture

_LAYER = {"kernel": (3, 5, 7), "expansion": (3, 4, 6)}
_STAGES = tuple(Stage(f"stage_{place}", (2, 3, 4), _LAYER) for place in range(1, 6))
_WIDTHS = (24, 40, 80, 112, 160)
_STRIDES = (2, 2, 2, 1, 2)
_SQUEEZE = (False, True, False, True, True)


class MobileNetV3(LayeredSpace):
    """About 2 · 10¹⁹ mobile networks.

    A strided 3×3 stem of 16 channels and one depthwise-separable block; five stages of two to four inverted residuals,
    each with a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6; a 1×1 convolution to 960 channels, global average
    pooling, a layer of 1,280, dropout of 0.1, and a linear layer. Stages 1, 2, 3 and 5 halve the size; 2, 4 and 5 weigh
    their channels by squeeze-and-excitation.

    Texts list the layers of each stage as [kernel, expansion]; `parse` also reads once-for-all's own description,
    ``{"ks": [20 kernels], "e": [20 expansions], "d": [5 depths]}``.

    Args:
        input_shape: (channels, height, width); 3 × 224 × 224 in the paper, with any size in between 128 and 224.
        n_classes: Width of the last layer.
        width: Multiplies all widths; 1.0 and 1.2 in the paper.

    Raises:
        ConfigError: A size that the network cannot have.
    """

    name = "mobilenetv3"

    def __init__(self, *, input_shape: Sequence[int] = (3, 64, 64), n_classes: int = 10, width: float = 1.0) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        check_image_shape(self.name, self.input_shape)
        if not 0 < width < float("inf"):
            raise ConfigError(f"`width` of {self.name} must be positive; got {width}.")
        self.width = width

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {**super().settings, "width": self.width}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Five stages of two to four layers."""
        return _STAGES

    def parse(self, text: str) -> Architecture:
        """Return the architecture of a text, ours or once-for-all's.

        Raises:
            ArchitectureError: The text has another form, or an option that does not exist.
        """
        try:
            given = parse_json(text_of(text))
            most = _STAGES[0].depths[-1]
            kernels, expansions, depths = (list(given[key]) for key in ("ks", "e", "d"))
            if (len(kernels), len(expansions), len(depths)) != (most * len(_STAGES), most * len(_STAGES), len(_STAGES)):
                return super().parse(text)
            layers = [list(pair) for pair in zip(kernels, expansions, strict=True)]
            text = json.dumps(
                {
                    stage.name: layers[place * most : place * most + int(depth)]
                    for place, (stage, depth) in enumerate(zip(_STAGES, depths, strict=True))
                }
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            pass  # not theirs: ours, or no text of this space
        return super().parse(text)

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network of these layers; see the class."""
        from robonas.spaces.networks.blocks import ConvBNAct, InvertedResidual, make_divisible

        activations = (nn.ReLU, nn.ReLU, nn.Hardswish, nn.Hardswish, nn.Hardswish)
        architecture = self.check(architecture)

        def wide(channels: int) -> int:
            return make_divisible(channels * self.width)

        c = wide(16)
        layers: list[nn.Module] = [
            ConvBNAct(self.input_shape[0], c, 3, 2, activation=nn.Hardswish),
            InvertedResidual(c, c, 3, 1, 1, nn.ReLU),
        ]
        for place, stage in enumerate(self.stages):
            for number, layer in enumerate(self.layers(architecture, stage)):
                c_out = wide(_WIDTHS[place])
                layers.append(
                    InvertedResidual(
                        c,
                        c_out,
                        layer["kernel"],
                        _STRIDES[place] if number == 0 else 1,
                        layer["expansion"],
                        activations[place],
                        squeeze=_SQUEEZE[place],
                    )
                )
                c = c_out
        return nn.Sequential(
            *layers,
            ConvBNAct(c, wide(960), 1, activation=nn.Hardswish),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(wide(960), wide(1280), 1, bias=False),
            nn.Hardswish(),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(wide(1280), self.n_classes),
        )
