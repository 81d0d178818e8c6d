"""What a set of predictions is worth: accuracy, likelihood, calibration, per-category figures."""

from __future__ import annotations

import numpy as np

BINS = 15
Floats = np.ndarray
Ints = np.ndarray


def hits(probabilities: Floats, truth: Ints, k: int = 1) -> np.ndarray:
    """bool[n]: the true class is among the `k` most probable. `probabilities`: float[n, classes].

    Equal probabilities go to the smaller class index, as in argmax.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (ranked == truth[:, None]).any(axis=1)


def log_losses(probabilities: Floats, truth: Ints) -> Floats:
    """float64[n]: -log p(true class) of each picture, in nats."""
    taken = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return -np.log(np.maximum(taken, 1e-12))


def reliability(probabilities: Floats, truth: Ints, bins: int = BINS) -> tuple[Ints, Floats, Floats]:
    """Count, mean confidence and accuracy of each of `bins` equal bins of confidence (nan where empty)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = hits(probabilities, truth).astype(np.float64)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, minlength=bins) / count
        accuracy = np.bincount(place, right, minlength=bins) / count
    return count, mean, accuracy


def expected_calibration_error(probabilities: Floats, truth: Ints, bins: int = BINS) -> float:
    """ECE (Guo et al. 2017, eq. 3): gap between confidence and accuracy, weighted by the bins' counts."""
    return float(np.abs(calibration_gaps(probabilities, truth, bins).mean(axis=0)).sum())


def calibration_gaps(probabilities: Floats, truth: Ints, bins: int = BINS) -> Floats:
    """float64[n, bins]: confidence less correctness of each picture in the bin of its confidence, else 0."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.zeros((len(truth), bins))
    gaps[np.arange(len(truth)), place] = confidence - hits(probabilities, truth)
    return gaps


def confusion(predicted: Ints, truth: Ints, classes: int) -> Ints:
    """int64[classes, classes]: rows the true class, columns the predicted one."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_category(matrix: np.ndarray) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class from a confusion matrix (nan where undefined)."""
    right = np.diag(matrix).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = right / matrix.sum(axis=0)
        recall = right / matrix.sum(axis=1)
        f1 = 2 * right / (matrix.sum(axis=0) + matrix.sum(axis=1))
    return precision, recall, f1
