"""A plain residual network of the demo's size, without convolutions by channel."""

from typing import cast

from torch import Tensor, nn

from codesign.demo.network import ConvUnit, ResidualUnit


class PlainResidualNet(nn.Module):
    """A stem, a residual unit of 32 channels at 14x14 pixels, and one of 64 at 7x7.

    Input: float32 [N, 1, 28, 28], normalized as `codesign.demo.data` does it.
    Output: float32 [N, 10], logits. 112,618 parameters.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = ConvUnit(1, 32, 5, stride=2)
        self.block1 = ResidualUnit(32)
        self.down = ConvUnit(32, 64, stride=2)
        self.block2 = ResidualUnit(64)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classify = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, 28, 28] -> [N, classes]."""
        x = self.block1(self.stem(x))
        x = self.block2(self.down(x))
        return cast(Tensor, self.classify(self.flatten(self.mean(x))))
