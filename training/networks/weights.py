"""Weights to start from: a file, a checkpoint of another run, or torchvision's."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.networks.parts import head_names
from training.networks.zoo import FROZEN, SMALL, NetworkError

_WRAPS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")


class DownloadError(RuntimeError):
    """Weights that could not be fetched; the message is one line for the user."""


def is_file(name: str) -> bool:
    """Whether a setting names a file rather than a torchvision enum."""
    return Path(name).is_file() or "/" in name or name.endswith((".pt", ".pth", ".bin", ".ckpt"))


def digest_of(name: str) -> str:
    """What tells these weights from others: 16 hex digits of the file's SHA-256; an enum by its name."""
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else name


def read(name: str, model: str) -> dict[str, Tensor]:
    """The state dict that `name` (a file or an enum) stands for, on the CPU.

    Raises:
        NetworkError: no such file or enum, or a file that holds no weights. DownloadError.
    """
    if is_file(name):
        return _from_file(Path(name))
    if model in (FROZEN, SMALL):
        raise NetworkError(f"weights {name}: no such file; {model} has no weights by name")
    from torchvision import models

    known = models.get_model_weights(model)
    short = name.rpartition(".")[2]
    if short not in known.__members__:
        raise NetworkError(
            f"weights {name}: no such file, nor are there such for {model}; known are "
            f"{', '.join(known.__members__)}"
        )
    try:
        with redirect_stderr(StringIO()):  # it announces the download; an error is one line
            state: dict[str, Tensor] = known[short].get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise DownloadError(
            f"weights {short} of {model} cannot be fetched ({getattr(error, 'reason', None) or error}); "
            "get the file elsewhere and give --weights FILE"
        ) from None
    return state


def _from_file(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise NetworkError(f"weights {path}: {error.strerror or error}") from None
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, KeyError, AttributeError):
        raise NetworkError(f"weights {path}: no file of weights that torch.load can read safely") from None
    while isinstance(content, Mapping) and (wrap := next((w for w in _WRAPS if w in content), None)):
        content = content[wrap]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise NetworkError(f"weights {path}: it holds no state dict")
    return {_bare(str(name)): value for name, value in content.items() if isinstance(value, Tensor)}


def _bare(name: str) -> str:
    """A weight's name without what DataParallel and torch.compile put before it."""
    while name.startswith(_PREFIXES):
        name = name.removeprefix(next(prefix for prefix in _PREFIXES if name.startswith(prefix)))
    return name


def adopt(net: nn.Module, state: Mapping[str, Tensor], model: str, source: str) -> None:
    """Give `net` the weights of `state`. Heads of another number of classes stay as they were drawn.

    Raises:
        NetworkError: weights of another net; the first layer that does not fit is named.
    """
    own, heads = net.state_dict(), tuple(f"{name}." for name in head_names(net))
    optional = (*heads, "AuxLogits.", "aux1.", "aux2.")
    if not any(name in state for name in own if not name.startswith(heads)):
        first = next(iter(state), "nothing")
        raise NetworkError(f"weights {source}: none of them is of {model} (the first is {first})")
    state = dict(state) | _positions(net, state)
    taken = {}
    for name, value in own.items():
        found = state.get(name)
        if found is None:
            if not name.startswith(optional) and not name.endswith("num_batches_tracked"):
                raise NetworkError(f"weights {source}: layer {name} of {model} is not among them")
        elif found.shape == value.shape:
            taken[name] = found
        elif not name.startswith(heads):
            raise NetworkError(
                f"weights {source} are of another shape: layer {name} is {_shape(found)} there and "
                f"{_shape(value)} in this {model}"
            )
    net.load_state_dict(taken, strict=False)


def _positions(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A vision transformer's embeddings of places, stretched to this net's picture size."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    key = "encoder.pos_embedding"
    if not isinstance(net, VisionTransformer) or key not in state:
        return {}
    if state[key].shape == net.encoder.pos_embedding.shape or state[key].ndim != 3:
        return {}
    try:
        stretched = interpolate_embeddings(net.image_size, net.patch_size, {key: state[key]})
    except ValueError:
        return {}
    return {key: stretched[key]}


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"
