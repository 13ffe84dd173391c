"""The feature pyramid P2 to P6.

References: FPN (1612.03144), section 3; P6 as in its footnote 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.config import PyramidConfig
from maskrcnn.model.norm import ConvNorm

STRIDES = (4, 8, 16, 32, 64)


class Pyramid(nn.Module):
    """Lateral 1x1 convolutions, a top-down sum, and a 3x3 convolution a level.

    Args:
        in_channels: Channels of C2 to C5.
        config: Channels and norm of the pyramid.
    """

    def __init__(self, in_channels: Sequence[int], config: PyramidConfig) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNorm(c, config.channels, 1, config.norm) for c in in_channels)
        self.output = nn.ModuleList(ConvNorm(config.channels, config.channels, 3, config.norm) for _ in in_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Compute P2 to P6.

        Args:
            stages: C2 to C5, (B, C, H/4, W/4) to (B, C, H/32, W/32) float.

        Returns:
            Five of (B, channels, H/4, W/4) to (B, channels, H/64, W/64) float.
        """
        merged = self.lateral[-1](stages[-1])
        levels = [self.output[-1](merged)]
        for i in range(len(stages) - 2, -1, -1):
            side = self.lateral[i](stages[i])
            merged = side.add_(F.interpolate(merged, size=side.shape[-2:], mode="nearest"))
            levels.insert(0, self.output[i](merged))
        return [*levels, F.max_pool2d(levels[-1], 1, 2)]
