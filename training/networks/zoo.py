"""Nets by name: torchvision's classification models, EfficientNet-lite0 and the small net."""

from __future__ import annotations

import functools
import warnings
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, dropout, linear

from training.networks.parts import last_layer, name_heads, swap
from training.networks.small import small_net

FROZEN = "lite0"
SMALL = "small"
LEAST = {"inception_v3": 299}
"""Published sizes below which a net is not what its paper describes, though it may run."""
TRIED = (16, 24, 32, 48, 64, 75, 96, 112, 128, 160, 192, 224, 256, 299, 384, 512, 518)
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and deviation of the three colours, 0 to 255, that nets with torchvision's weights expect."""
LITE = ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
_TOPS = ("fc", "classifier", "heads", "head", "_fc", "6")
_AUX_HEADS = ("AuxLogits.fc", "aux1.fc2", "aux2.fc2")


class NetworkError(ValueError):
    """A model, size or weights that cannot be used; the message is one line for the user."""


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What to take from the three colours (0 to 255), and to divide by then."""
    return LITE if name == FROZEN else IMAGENET


def check(name: str, size: int) -> None:
    """Raise `NetworkError` if there is no such model, or if it cannot see pictures of `size` pixels.

    The net is built and called without memory (torch's meta device), so that this costs next to nothing.
    """
    if name in (FROZEN, SMALL):
        return
    from torchvision import models

    if name not in models.list_models(module=models):
        raise NetworkError(
            f"unknown model {name!r}; known are {FROZEN}, {SMALL} and torchvision's classification models"
        )
    if _sees(name, size):
        return
    larger = next((tried for tried in TRIED if tried > size and _sees(name, tried)), None)
    hint = f"give --size {larger}" if larger else "choose another model"
    raise NetworkError(f"{name} cannot see pictures of {size} px; {hint}")


@functools.cache
def _sees(name: str, size: int) -> bool:
    if size < LEAST.get(name, 0):
        return False
    # RegNet computes its widths with tensors, which without memory have no values.
    first = nullcontext() if name.startswith("regnet_") else torch.device("meta")
    try:
        with first:
            net = plain(name, 2, size).to("meta")
        net(torch.empty(2, 3, size, size, device="meta"))
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


def plain(name: str, classes: int, size: int) -> nn.Module:
    """The net with weights drawn at random, as it is published."""
    if name == SMALL:
        return small_net(classes)
    if name == FROZEN:
        from training.backbone import lite0

        return lite0(classes)
    from torchvision import models

    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Their input is rescaled to -1..1, as it is for their published weights.
        more = {"aux_logits": True, "transform_input": True, "init_weights": True}
    elif name.startswith("vit_"):
        more = {"image_size": size}
    elif name.startswith("maxvit_"):
        more = {"input_size": (size, size)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return models.get_model(name, weights=None, num_classes=classes, **more)


def build(name: str, classes: int, size: int, stem: str, share_dropped: float | None) -> nn.Module:
    """The net with the stem and dropout that are asked for; it knows the names of its heads.

    `stem`: cifar or imagenet.
    """
    net = plain(name, classes, size)
    if stem == "cifar":
        _cifar_stem(net, name)
    top = last_layer(net, _TOPS)
    if share_dropped is not None:
        _set_dropout(net, top, share_dropped)
    names = {part for part, _ in net.named_modules()}
    name_heads(net, (top, *(aux for aux in _AUX_HEADS if aux in names)))
    return net


def stem_for(name: str, size: int, asked: str, weights: dict[str, Tensor] | None) -> str:
    """cifar or imagenet. `auto`: as the weights have it, else cifar for ResNets up to 64 px."""
    residual = name.startswith(("resnet", "resnext", "wide_resnet"))
    if asked == "cifar" and not residual:
        raise NetworkError(f"stem cifar is for ResNets, not {name}")
    if asked != "auto" or not residual:
        return asked if asked != "auto" else "imagenet"
    kernel = (weights or {}).get("conv1.weight")
    if kernel is not None and kernel.ndim == 4:
        return "cifar" if kernel.shape[-1] == 3 else "imagenet"
    return "cifar" if size <= 64 and weights is None else "imagenet"


def _cifar_stem(net: nn.Module, name: str) -> None:
    """3x3 with stride 1 and no pooling, for pictures of 32 px (He et al. 2016, section 4.2)."""
    first = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    swap(net, "conv1", first)
    swap(net, "maxpool", nn.Identity())


def _set_dropout(net: nn.Module, top: str, share: float) -> None:
    """Where the net drops something, let it drop so much; else drop before the last layer."""
    dropping = [part for part in net.modules() if isinstance(part, nn.Dropout) and part.p > 0]
    for part in dropping:
        part.p = share
    if dropping:
        return
    layer: Any = net.get_submodule(top)
    if isinstance(layer, nn.Linear):
        layer.__class__ = _DroppedLinear
    else:
        layer.__class__ = _DroppedConv2d
    layer.share_dropped = share


class _DroppedLinear(nn.Linear):
    """A layer that drops a share of its input; its weights keep their names."""

    share_dropped: float

    def forward(self, x: Tensor) -> Tensor:
        return linear(dropout(x, self.share_dropped, self.training), self.weight, self.bias)


class _DroppedConv2d(nn.Conv2d):
    share_dropped: float

    def forward(self, x: Tensor) -> Tensor:
        x = dropout(x, self.share_dropped, self.training)
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
