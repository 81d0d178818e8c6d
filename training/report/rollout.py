"""Where a vision transformer attends: attention rollout (Abnar & Zuidema 2020, section 3).

Each layer's attention, the mean over its heads, is mixed half and half with the identity for the residual
path; the product over layers says how much of each patch arrives at the class token. It tells where the net
gathers what it knows, not what speaks for which class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn


def attends(net: nn.Module) -> bool:
    """Whether the net is, or begins with, a vision transformer whose attention can be followed."""
    return any(type(part).__name__ == "VisionTransformer" for part in net.modules())


def rollout(net: nn.Module, x: torch.Tensor) -> np.ndarray:
    """float32[n, patches a side, patches a side] from 0 to 1, of pictures float[n, 3, size, size].

    `net`: one that `attends`, in evaluation mode.
    """
    import torch
    from torch import nn

    found: list[torch.Tensor] = []

    def ask(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"need_weights": True, "average_attn_weights": True}

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        found.append(output[1].float())

    layers = [part for part in net.modules() if isinstance(part, nn.MultiheadAttention)]
    hooks = [layer.register_forward_pre_hook(ask, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(keep) for layer in layers]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    tokens = found[0].shape[-1]
    whole = torch.eye(tokens, device=x.device).expand(len(x), -1, -1)
    for attention in found:
        whole = (0.5 * attention + 0.5 * torch.eye(tokens, device=x.device)) @ whole
    patches = whole[:, 0, 1:]
    patches = patches / patches.amax(1, keepdim=True).clamp_min(1e-12)
    side = round((tokens - 1) ** 0.5)
    return patches.unflatten(1, (side, side)).cpu().numpy()
