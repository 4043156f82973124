"""Backbones that no library brings: the two small networks for digits, and ResNets for CIFAR-10."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def digits_network() -> nn.Sequential:
    """Return the backbone of `pdigits`: three convolutions and a linear layer, for normalised images 3x32x32.

    Its PCoders sit on the three ReLUs, the modules 1, 3 and 5.
    """
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def digits_alexnet() -> nn.Sequential:
    """Return AlexNet scaled down to normalised images 3x32x32 and ten classes, the baseline of `digits-c`.

    Five convolutions, three of them followed by max pooling, and three linear layers with dropout, in AlexNet's order
    (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv 1404.5997).
    """
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(48, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def cifar_resnet56() -> CifarResNet:
    """Return ResNet-56 for CIFAR-10, whose PCoders sit where those of ResNet-20 do."""
    return CifarResNet(9)


class _ShortcutBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters: every second pixel, new channels zero."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - channels_in

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(inputs)))))
        shortcut = inputs[:, :, :: self.stride, :: self.stride]
        half = self.new_channels // 2
        return F.relu(hidden + F.pad(shortcut, (0, 0, 0, 0, half, self.new_channels - half)))


class CifarResNet(nn.Module):
    """A ResNet for CIFAR-10 with 6n+2 layers and shortcuts without parameters (He et al. 2016, section 4.2, option A).

    Args:
        blocks: n, the number of blocks in each of the three stages; 3 makes ResNet-20, 9 ResNet-56.
    """

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1)
        self.layer2 = self._stage(16, 32, blocks, 2)
        self.layer3 = self._stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        first = _ShortcutBlock(channels_in, channels, stride)
        return nn.Sequential(first, *(_ShortcutBlock(channels, channels, 1) for _ in range(blocks - 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 10) for normalised images (batch, 3, 32, 32)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        return self.linear(hidden.mean((2, 3)))
