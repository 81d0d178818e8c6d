"""What a net says of pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from training.backbone import autocast
from training.loop.inputs import Inputs
from training.loop.memory import in_parts
from training.networks import scores_of

EVALUATION_BATCH = 256


def predict(net: nn.Module, inputs: Inputs, rows: Tensor) -> Tensor:
    """float32[n, classes], class probabilities of `rows` (int64[n]), on the CPU."""
    net.eval()
    found = torch.empty(len(rows), inputs.classes)
    parts = 1
    for start in range(0, len(rows), EVALUATION_BATCH):
        chosen = rows[start : start + EVALUATION_BATCH]

        def ask(parts: int, chosen: Tensor = chosen, start: int = start) -> None:
            done = start
            with torch.inference_mode():
                for part in chosen.tensor_split(parts):
                    with autocast(rows.device, inputs.precision):
                        scores = scores_of(net(inputs.batches(part, None)))[0]
                    found[done : done + len(part)] = scores.float().softmax(1).cpu()
                    done += len(part)

        parts = in_parts(ask, min(parts, len(chosen)), len(chosen), rows.device)
    return found


def measure(net: nn.Module, inputs: Inputs, rows: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, of `rows` whose labels are int64[n]."""
    probabilities, labels = predict(net, inputs, rows), labels.cpu()
    loss = nll_loss(probabilities.clamp_min(1e-12).log(), labels)
    return float(loss), float((probabilities.argmax(1) == labels).float().mean())
