"""What trains a stack of runs: the steps and the evaluation, however the runs' numbers are computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch

from initlab.guest.doubles import doubled
from initlab.interrupts import check
from initlab.training.batches import order_seed, orders
from initlab.training.engines.base import Score
from initlab.training.engines.bundle import Bundle
from initlab.training.engines.optim import StackedOptimizer
from initlab.training.engines.runs import Measured, Tally, slices
from initlab.training.sources import Source
from initlab.training.task import Task

# How many steps pass between two looks at whether any run of the stack is still finite.
LOOK = 32

# A batch that is the same for all runs -> what each of them scores on it.
Scoring = Callable[[torch.Tensor, torch.Tensor], Sequence[Measured]]


class Trainer(ABC):
    """A `Bundle` of runs in training; the bundle's tensors are updated in place.

    Args:
        task: what the runs share.
        source: the training samples.
        bundle: the runs.
    """

    def __init__(self, task: Task, source: Source, bundle: Bundle) -> None:
        self.task = task
        self.source = source
        self.bundle = bundle
        self.optimizer = StackedOptimizer(task, bundle)
        by_seed = orders(task, bundle.specs, len(source))
        places = {seed: place for place, seed in enumerate(by_seed)}
        self.orders = list(by_seed.values())
        self.order_of = torch.tensor([places[order_seed(task, spec)] for spec in bundle.specs], device=task.device)

    def advance(self, steps: int) -> np.ndarray:
        """(steps, K) losses; fewer rows where every run has stopped being finite."""
        losses = torch.empty(steps, len(self.bundle), dtype=self.task.dtype, device=self.task.device)
        with self.training():
            for step in range(steps):
                check()
                losses[step] = self.step()
                self.bundle.steps += 1
                if step % LOOK == LOOK - 1 and not bool(losses[step].isfinite().any()):
                    losses = losses[: step + 1]
                    break
        return doubled(losses).cpu().numpy()

    def measure(self, source: Source) -> list[Score]:
        """(mean loss, accuracy or None) of each run over `source`, in evaluation mode."""
        tally = Tally(self.task, len(self.bundle))
        with torch.no_grad(), self.scoring() as score:
            for x, y in slices(source, self.task.eval_batch, self.task.device):
                tally.add(score(x, y), y)
        return tally.scores()

    @abstractmethod
    def training(self) -> AbstractContextManager[object]:
        """What steps are taken within."""

    @abstractmethod
    def step(self) -> torch.Tensor:
        """The losses (K,) of step `bundle.steps`, and its updates."""

    @abstractmethod
    def scoring(self) -> AbstractContextManager[Scoring]:
        """How the runs are scored, within an evaluation."""
