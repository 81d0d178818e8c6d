"""Heat maps: which places of a picture speak for a class.

Grad-CAM (Selvaraju et al. 2017, section 3): the maps of the last convolutional layer, each weighted by the
mean gradient of the class's score over its places (equation 1), summed, and cut off below zero (equation 2).
Here the last layer is the deepest whose maps are at least `LEAST` places wide: on small pictures later ones
are pooled to a spot. Gradients begin at its output, so that a frozen backbone below it needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from PIL import Image

from training.report import plots
from training.report.page_parts import note, percent, section
from training.report.rollout import attends, rollout
from training.trained import Nets, Trained, TrainedError

if TYPE_CHECKING:
    import torch
    from torch import nn

LEAST = 4
BATCH = 16
OPACITY, HOTTEST = 0.65, 0.9
"""Of the colours over a picture; the top of the scale is too dark to be seen as hot."""
ATTENTIVE = ("VisionTransformer", "SwinTransformer", "MaxVit")
"""Nets that attend to patches: their last maps of places stand too early, or mix places."""
TITLE = "Where it looks"


@dataclass(frozen=True)
class Case:
    """A test picture to show. `row`: which one; `chances`: of the predicted and of the true class."""

    row: int
    true: int
    predicted: int
    chances: tuple[float, float]


def choose(probabilities: np.ndarray, truth: np.ndarray, most: int) -> list[Case]:
    """At most so many pictures: the surest of each of the worst confusions, then some surely right ones.

    Args:
        probabilities: float[n, classes] of one net. truth: int64[n].
    """
    predicted = probabilities.argmax(axis=1)
    rows, sure = np.arange(len(truth)), probabilities.max(axis=1)
    wrong = predicted != truth
    pair = truth * probabilities.shape[1] + predicted
    pairs, counts = np.unique(pair[wrong], return_counts=True)
    frequent = dict(zip(pairs.tolist(), counts.tolist(), strict=True))
    surest = sorted(rows[wrong].tolist(), key=lambda row: (-sure[row], row))
    first = {int(pair[row]): row for row in reversed(surest)}
    shown = sorted(first.values(), key=lambda row: (-frequent[int(pair[row])], -sure[row], row))
    right = sorted(rows[~wrong].tolist(), key=lambda row: (-sure[row], row))
    by_class = list({int(truth[row]): row for row in reversed(right)}.values())[::-1]
    few = min(len(by_class), max(1, most // 4)) if most > 1 else 0
    more = [row for row in surest if row not in shown]
    chosen = (shown + more)[: most - few] + by_class
    return [
        Case(
            row,
            int(truth[row]),
            int(predicted[row]),
            (float(sure[row]), float(probabilities[row, truth[row]])),
        )
        for row in chosen[:most]
    ]


def heat_maps(net: nn.Module, x: torch.Tensor, classes: Sequence[int]) -> np.ndarray | None:
    """float32[n, h, w] from 0 to 1: where each picture of `x` (float[n, 3, size, size]) speaks for its class.

    Args:
        net: in evaluation mode, to class scores; `classes`: an index for each picture.

    Returns:
        None where the net has no maps of places at its end.
    """
    import torch

    if any(type(part).__name__ in ATTENTIVE for part in net.modules()):
        return None
    layer = _last_maps(net, x[:1])
    if layer is None:
        return None
    found = []
    for start in range(0, len(x), BATCH):
        wanted = torch.tensor(classes[start : start + BATCH], device=x.device)
        maps, scores = _from_layer(net, x[start : start + BATCH], *layer)
        (slope,) = torch.autograd.grad(scores.gather(1, wanted[:, None]).sum(), maps)
        weight = slope.mean((2, 3), keepdim=True)
        heat = (weight * maps.detach()).sum(1).clamp_min(0).float()
        found.append(heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12))
    return torch.cat(found).cpu().numpy()


def _last_maps(net: nn.Module, x: torch.Tensor) -> tuple[nn.Module, int] | None:
    """The deepest module whose output is maps of places, and in which of its calls; see `LEAST`."""
    import torch

    calls: dict[int, int] = {}
    seen: list[tuple[nn.Module, int, int]] = []

    def look(module: nn.Module, _: Any, output: Any) -> None:
        number = calls[id(module)] = calls.get(id(module), -1) + 1
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.is_floating_point():
            seen.append((module, number, min(output.shape[2:])))

    hooks = [module.register_forward_hook(look) for module in net.modules() if module is not net]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    for least in (LEAST, 2):
        deep = [(module, number) for module, number, places in seen if places >= least]
        if deep:
            return deep[-1]
    return None


def _from_layer(
    net: nn.Module, x: torch.Tensor, layer: nn.Module, call: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's maps, from which gradients begin, and the scores."""
    import torch

    from training.networks import scores_of

    held: list[torch.Tensor] = []
    calls = [-1]

    def begin(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor | None:
        calls[0] += 1
        if calls[0] != call:
            return None
        held.append(output.detach().requires_grad_())
        return held[0].clone()  # what comes after may change it in place

    hook = layer.register_forward_hook(begin)
    try:
        with torch.enable_grad():
            scores = scores_of(net(x))[0]
    finally:
        hook.remove()
    return held[0], scores


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """uint8[size, size, 3]: the picture with the map (float[h, w], 0 to 1) over it, hot places coloured."""
    size = (pixels.shape[1], pixels.shape[0])
    grown = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    grown = np.clip(grown, 0, 1)[..., None]
    colour = 255 * matplotlib.colormaps["turbo"](HOTTEST * grown[..., 0])[..., :3]
    share = OPACITY * grown**0.7
    return np.clip((1 - share) * pixels + share * colour, 0, 255).astype(np.uint8)


def gallery(
    run: Trained,
    arm: str,
    names: Sequence[str],
    truth: np.ndarray,
    pixels: np.ndarray,
    probabilities: np.ndarray,
    device: torch.device,
    most: int,
) -> str:
    """The report's section, of the first net of an arm; empty where none is wanted.

    Args:
        names: of the classes. truth: int64[n]. pixels: uint8[n, stored, stored, 3] of the test pictures.
        probabilities: float[n, classes], what that net said of them.
    """
    cases = choose(probabilities, truth, most) if most else []
    if not cases:
        return ""
    seed = run.seeds[arm][0]
    shown = np.stack([pixels[case.row] for case in cases])
    try:
        nets = Nets(run, arm, (seed,), device)
        net, x = nets.whole(0), nets.normalised(shown)
        follow = attends(net)
        taken = rollout(net, x) if follow else heat_maps(net, x, [case.predicted for case in cases])
        meant = None if follow else heat_maps(net, x, [case.true for case in cases])
    except (TrainedError, RuntimeError) as error:  # a report without maps is better than none
        return section(TITLE, f"Not shown: {' '.join(str(error).split())[:200]}.")
    if taken is None:
        words = f"Not available: {run.settings.model} has no maps of a convolution at its end for Grad-CAM."
        return section(TITLE, words)
    edge = (shown.shape[1] - nets.size) // 2
    shown = shown[:, edge : edge + nets.size, edge : edge + nets.size]
    others = [None] * len(cases) if meant is None else list(meant)
    blocks = [_case(*each, names) for each in zip(cases, shown, taken, others, strict=True)]
    words, how = _words(f"the net of {arm}, seed {seed}", follow)
    return section(TITLE, words, f'<div class="cams">{"".join(blocks)}</div>', note(how))


def _words(whose: str, attention: bool) -> tuple[str, str]:
    """What the maps show, and how they were made."""
    chosen = "the surest picture of each of the worst confusions, then some that are right"
    if attention:
        how = "Attention rollout (Abnar & Zuidema 2020): where it attends, not what speaks for which class."
        return f"From red places {whose} gathers most: {chosen}.", how
    how = (
        "Grad-CAM (Selvaraju et al. 2017). Each map is scaled to its own maximum: they compare by place only."
    )
    return f"Red places speak most for the class named below the map, by {whose}: {chosen}.", how


def _case(
    case: Case, pixels: np.ndarray, taken: np.ndarray, meant: np.ndarray | None, names: Sequence[str]
) -> str:
    """The picture, the map of what it was taken for, and beside it that of what it is."""
    right = case.true == case.predicted
    said = f"{'rightly' if right else 'taken for'} {names[case.predicted]}, {percent(case.chances[0], 0)}"
    parts = [_picture(pixels, f"is {names[case.true]}"), _picture(overlay(pixels, taken), said)]
    if not right and meant is not None:
        words = f"for {names[case.true]}, {percent(case.chances[1], 0)}"
        parts.append(_picture(overlay(pixels, meant), words))
    return f'<div class="cam">{"".join(parts)}</div>'


def _picture(pixels: np.ndarray, caption: str) -> str:
    words = escape(caption)
    image = f'<img src="{plots.thumbnail(pixels)}" alt="{words}">'
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"
