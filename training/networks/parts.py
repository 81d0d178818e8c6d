"""Where a net's head is, what of it is taught, and what its outputs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.networks.frozen import OnFrozen

_LAST_STAGES = (
    "layer4",  # ResNet, ResNeXt
    "Mixed_7a",  # Inception v3
    "inception5a",  # GoogLeNet
    "stage4",  # ShuffleNet
    "trunk_output.block4",  # RegNet
    "features.denseblock4",  # DenseNet
)
_TRUNKS = ("features", "layers", "blocks", "encoder.layers", "_blocks")
"""Where other nets keep their blocks in a row; the last two are the last stage."""


def scores_of(output: Any) -> tuple[Tensor, ...]:
    """The class scores of a net (float[n, classes]), then those of auxiliary outputs, if there are any."""
    return (output,) if isinstance(output, Tensor) else tuple(item for item in output if item is not None)


def aux_shares(output: Any) -> tuple[float, ...]:
    """What each auxiliary output counts in the loss: 0.4 of Inception's (Szegedy et al. 2016, as torchvision
    trains it), 0.3 of GoogLeNet's two (Szegedy et al. 2015, section 5)."""
    others = len(scores_of(output)) - 1
    return (0.3,) * others if hasattr(output, "aux_logits1") else (0.4,) * others


def head_names(net: nn.Module) -> tuple[str, ...]:
    """Names of the modules that end in classes, the main one first; of a net that is all head, the net itself
    ("")."""
    names: tuple[str, ...] = getattr(net, "head_names", ("",))
    return names


def name_heads(net: Any, names: tuple[str, ...]) -> None:
    """Note on the net where its heads are."""
    net.head_names = names


def head_parameters(net: nn.Module) -> list[nn.Parameter]:
    """The weights of the head (auxiliary heads too)."""
    return [p for name in head_names(net) for p in net.get_submodule(name).parameters()]


def freeze(net: nn.Module, taught: str) -> None:
    """Take gradients from all but what is `taught`: all, head, or last (the last stage and all that follows).

    Auxiliary outputs stand before the last stage: they are switched off where it is not all that is taught.
    """
    if taught == "all":
        return
    first = head_names(net)[0] if taught == "head" else _last_stage(net)
    reached = False
    for name, parameter in net.named_parameters():
        reached = reached or name.startswith(f"{first}.")
        parameter.requires_grad_(reached)
    for aux in ("AuxLogits", "aux1", "aux2"):
        if getattr(net, aux, None) is not None:
            setattr(net, aux, None)
    if hasattr(net, "aux_logits"):
        net.__dict__["aux_logits"] = False
    name_heads(net, head_names(net)[:1])


def _last_stage(net: nn.Module) -> str:
    """The name of the module that the last stage begins with."""
    modules = dict(net.named_modules())
    for name in _LAST_STAGES:
        if name in modules:
            return name
    for trunk in _TRUNKS:
        if trunk in modules:
            blocks = [name for name, part in modules[trunk].named_children() if list(part.parameters())]
            return f"{trunk}.{blocks[-2:][0]}"
    blocks = [name for name, part in net.named_children() if list(part.parameters())]
    return blocks[-2:][0]


def set_training(net: nn.Module) -> None:
    """Training mode where something is taught; frozen parts stay in evaluation, their statistics too."""
    net.train()
    for module in net.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """The state dict that stands for the net: a frozen backbone is no part of it."""
    return (net.top if isinstance(net, OnFrozen) else net).state_dict()


def copied_weights(net: nn.Module) -> dict[str, Tensor]:
    """The same, free of what the net does next; where the net is, so that nothing waits for the copy."""
    return {name: value.detach().clone() for name, value in weights_of(net).items()}


@torch.no_grad()
def load_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """The reverse of `weights_of`, in place."""
    (net.top if isinstance(net, OnFrozen) else net).load_state_dict(weights)


def swap(net: nn.Module, name: str, other: nn.Module) -> None:
    """Put another module in the place of one."""
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, other)


def last_layer(net: nn.Module, tops: Sequence[str]) -> str:
    """The name of the layer that ends in classes, within the first of `tops` that the net has."""
    for top in tops:
        if isinstance(getattr(net, top, None), nn.Module):
            layers = [
                f"{top}.{name}".rstrip(".")
                for name, part in net.get_submodule(top).named_modules()
                if isinstance(part, nn.Linear | nn.Conv2d)
            ]
            return layers[-1]
    raise LookupError(f"no head in {type(net).__name__}")
