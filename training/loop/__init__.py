"""The loop: same initialisation and order in every arm of a seed, last weights, no choice on test.

`fit` teaches one net, `predict` asks it. Both serve heads on kept features and whole networks alike; only
what turns rows into the net's input differs. What is drawn at random is a function of seed, epoch and step
alone (`chance`), so a training goes on from any step exactly as it would have gone on (`snapshot`).
"""

from training.loop.failures import CompileFailed, DivergedError, NotDeterministic
from training.loop.fit import Fitted, Validation, Watch, fit
from training.loop.inputs import Batches, Inputs
from training.loop.memory import ShortOfMemory
from training.loop.predict import predict
from training.loop.snapshot import Snapshots, save_tensors

__all__ = [
    "Batches",
    "CompileFailed",
    "DivergedError",
    "Fitted",
    "Inputs",
    "NotDeterministic",
    "ShortOfMemory",
    "Snapshots",
    "Validation",
    "Watch",
    "fit",
    "predict",
    "save_tensors",
]
