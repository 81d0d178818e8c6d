"""Simulated people for campaigns: pictures that are hard for everybody, and workers who do not look.

No aggregation or stopping method of Assay assumes this model: difficulty comes from a Beta law, each picture
tempts everybody with one wrong answer, skills differ, and spammers answer at random or always the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DIFFICULTY = (0.6, 2.4)
"""Parameters of the Beta law of a picture's difficulty: mean 0.2, a long tail of hard ones."""
TEMPTED = 0.6
"""Share of the wrong answers that fall on the picture's own tempting one."""


@dataclass(frozen=True)
class People:
    """`truth`: int64[T]; `answers`: int64[W, T], what each worker would say; `spammer`: bool[W]."""

    truth: np.ndarray
    answers: np.ndarray
    spammer: np.ndarray
    n_labels: int

    @classmethod
    def simulate(
        cls,
        seed: int,
        tasks: int,
        workers: int,
        n_labels: int = 10,
        spammers: float = 0.0,
        skill: float = 0.95,
    ) -> People:
        """`spammers`: their share; `skill`: P(right) of the usual worker on the easiest picture."""
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, n_labels, tasks)
        tempting = (truth + rng.integers(1, n_labels, tasks)) % n_labels
        hard = rng.beta(*DIFFICULTY, tasks)
        each = np.clip(rng.normal(skill, 0.03, workers), 0.5, 0.995)
        right = rng.random((workers, tasks)) < each[:, None] * (1 - 0.65 * hard[None, :])
        anything = (truth + rng.integers(1, n_labels, (workers, tasks))) % n_labels
        wrong = np.where(rng.random((workers, tasks)) < TEMPTED, tempting, anything)
        answers = np.where(right, truth, wrong)
        spammer = np.arange(workers) < round(spammers * workers)
        for worker in np.flatnonzero(spammer):
            constant = worker % 2
            answers[worker] = rng.integers(0, n_labels) if constant else rng.integers(0, n_labels, tasks)
        order = rng.permutation(workers)
        return cls(truth, answers[order], spammer[order], n_labels)

    def error_of_majority(self, votes: int, seed: int = 0, draws: int = 20) -> float:
        """Share of wrong labels when `votes` random workers are asked about each task; ties at random."""
        rng = np.random.default_rng(seed)
        n_workers, n_tasks = self.answers.shape
        wrong = 0.0
        for _ in range(draws):
            chosen = np.argsort(rng.random((n_workers, n_tasks)), axis=0)[:votes]
            said = np.take_along_axis(self.answers, chosen, axis=0)
            count = (said[:, :, None] == np.arange(self.n_labels)).sum(axis=0)
            wrong += float(((count + 0.5 * rng.random(count.shape)).argmax(axis=1) != self.truth).mean())
        return wrong / draws
