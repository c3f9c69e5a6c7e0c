"""The demo's network: a small residual, depthwise-separable classifier for 28x28 grey images."""

from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from codesign.errors import DataError

WEIGHTS = Path(__file__).with_name("network.safetensors")


class ConvUnit(nn.Module):
    """Convolution without bias, batch norm, optional ReLU; `same` padding for odd kernels."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, H, W] -> [N, channels_out, H / stride, W / stride]."""
        return cast(Tensor, self.relu(self.norm(self.conv(x))))


class SeparableUnit(nn.Module):
    """Depthwise 3x3 then pointwise 1x1 (Howard et al., MobileNets, 2017, figure 3)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvUnit(channels_in, channels_in, stride=stride, groups=channels_in)
        self.pointwise = ConvUnit(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, H, W] -> [N, channels_out, H / stride, W / stride]."""
        return cast(Tensor, self.pointwise(self.depthwise(x)))


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions around an identity (He et al., 2016, figure 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = ConvUnit(channels, channels, relu=False)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        return cast(Tensor, self.relu(x + self.second(self.first(x))))


class ResidualNet(nn.Module):
    """Stem, pool, and three stages of 32, 64 and 128 channels at 14x14 and 7x7 pixels.

    Input: float32 [N, 1, 28, 28], normalized as `codesign.demo.data` does it.
    Output: float32 [N, 10], logits.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = ConvUnit(1, 16)
        self.pool = nn.MaxPool2d(2)
        self.widen = SeparableUnit(16, 32)
        self.block1 = ResidualUnit(32)
        self.down = SeparableUnit(32, 64, stride=2)
        self.block2 = ResidualUnit(64)
        self.top = SeparableUnit(64, 128)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classify = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, 28, 28] -> [N, classes]."""
        x = self.widen(self.pool(self.stem(x)))
        x = self.down(self.block1(x))
        x = self.top(self.block2(x))
        return cast(Tensor, self.classify(self.flatten(self.mean(x))))


def load_network(weights: Path = WEIGHTS) -> ResidualNet:
    """The trained network in evaluation mode; DataError when the weights are not there."""
    if not weights.is_file():
        raise DataError(
            f"no weights at {weights}; reinstall codesign, or train them with "
            "`python -m benchmarks.train_demo`"
        )
    network = ResidualNet()
    network.load_state_dict(load_file(weights))
    return network.eval()


def example() -> tuple[ResidualNet, tuple[Tensor]]:
    """The trained network and one example input, float32 [1, 1, 28, 28]: a MODEL argument."""
    return load_network(), (torch.zeros(1, 1, 28, 28),)
