"""Networks that a run can train: torchvision's by name, a small one, and heads on a frozen backbone.

`recipe_for` reads the settings and the weights once; its `fresh()` then makes a net for every pair, whose
first weights depend on torch's global seed alone. The other functions know where a net's head is, which of
its parts are taught and which of its outputs are auxiliary.
"""

from training.networks.frozen import OnFrozen, Standardise, head
from training.networks.parts import (
    aux_shares,
    copied_weights,
    head_parameters,
    load_weights,
    scores_of,
    set_training,
    weights_of,
)
from training.networks.recipe import Recipe, recipe_for, recipe_of
from training.networks.small import small_net
from training.networks.weights import DownloadError
from training.networks.zoo import FROZEN, SMALL, NetworkError

__all__ = [
    "FROZEN",
    "SMALL",
    "DownloadError",
    "NetworkError",
    "OnFrozen",
    "Recipe",
    "Standardise",
    "aux_shares",
    "copied_weights",
    "head",
    "head_parameters",
    "load_weights",
    "recipe_for",
    "recipe_of",
    "scores_of",
    "set_training",
    "small_net",
    "weights_of",
]
