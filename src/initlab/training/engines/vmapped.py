"""Trains K runs of any model that `torch.func.vmap` takes, as one computation over stacked parameters and buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import nn
from torch.func import functional_call, vmap

from initlab.guest.transformed import quietly
from initlab.rng import random_states, random_states_kept
from initlab.training.engines.bundle import Bundle, Stacked
from initlab.training.engines.dropouts import Dropout, Recording, Replaying, masks
from initlab.training.engines.recorded import Recorded, recorder
from initlab.training.engines.runs import Measured, batch_score, in_mode, loss_of, scalar
from initlab.training.engines.trainer import Scoring, Trainer
from initlab.training.sources import Source
from initlab.training.task import Task


class VmapTrainer(Trainer):
    """Runs of one model in training through vmap.

    Args:
        task, source, bundle: as for `Trainer`.
        model: any one of the runs' models, for its forward pass; its own values are not used.
    """

    def __init__(self, task: Task, model: nn.Module, source: Source, bundle: Bundle) -> None:
        super().__init__(task, source, bundle)
        self.model = model
        self._dropouts: dict[int, list[Dropout]] = {}
        self._passes: dict[tuple[int, bool], Recorded] = {}
        self._trained: tuple[str, ...] = ()  # the parameters that get a gradient

    def training(self) -> contextlib.AbstractContextManager[object]:
        in_mode(self.task, self.model, training=True)
        return contextlib.nullcontext()

    def step(self) -> torch.Tensor:
        x, y, axis = self._batch()
        one = x if axis is None else x[0]
        dropped = masks(self._calls(one), self.bundle.generators)
        losses, *gradients = self._pass(len(one), axis)(x, y, *dropped)
        self.optimizer.step(self.bundle.parameters, dict(zip(self._trained, gradients, strict=True)))
        return losses

    def _pass(self, samples: int, axis: int | None) -> Recorded:
        """From X, Y and dropout's masks to the losses and the gradients of `_trained`; buffers are written in place."""
        key = samples, axis is None
        if key not in self._passes:
            self._passes[key] = Recorded(partial(self._gradients, axis), recorder(self.task.device))
        return self._passes[key]

    def _gradients(
        self, axis: int | None, x: torch.Tensor, y: torch.Tensor, *dropped: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        held = self.bundle.constants
        parameters = {name: value.detach().requires_grad_() for name, value in self.bundle.parameters.items()}
        with quietly():
            losses, constants = vmap(self._loss, in_dims=(0, 0, axis, axis, 0), randomness="error")(
                parameters, held, x, y, list(dropped)
            )
        found = torch.autograd.grad(losses.sum(), list(parameters.values()), allow_unused=True)
        for name, value in constants.items():
            if value.data_ptr() != held[name].data_ptr():
                held[name].copy_(value.detach())
        gradients = {name: one for name, one in zip(parameters, found, strict=True) if one is not None}
        self._trained = tuple(gradients)
        return losses.detach(), *gradients.values()

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor, int | None]:
        """X and Y of the step, and the axis of the runs: None where all share one batch."""
        indices = [order.batch(self.bundle.steps) for order in self.orders]
        if len(indices) == 1:
            return *self.source.gather(indices[0]), None
        x, y = self.source.gather(torch.cat(indices))
        shape = (len(indices), len(indices[0]))
        x, y = x.view(*shape, *x.shape[1:]), y.view(*shape, *y.shape[1:])
        return x.index_select(0, self.order_of), y.index_select(0, self.order_of), 0

    def _loss(
        self, parameters: Stacked, constants: Stacked, x: torch.Tensor, y: torch.Tensor, dropped: list[torch.Tensor]
    ) -> tuple[torch.Tensor, Stacked]:
        """The loss of one run, and its buffers after the forward pass."""
        held = {**parameters, **constants}
        with Replaying(dropped):
            output = functional_call(self.model, held, (x,))
        return scalar(loss_of(self.task, y)(output, y)), {name: held[name] for name in constants}

    def _calls(self, x: torch.Tensor) -> list[Dropout]:
        """The dropout calls of a forward pass on one run's batch."""
        if len(x) not in self._dropouts:
            self._dropouts[len(x)] = dropout_calls(self.model, self._first(), x)
        return self._dropouts[len(x)]

    def _first(self) -> Stacked:
        return {name: value[0].detach().clone() for name, value in self._all().items()}

    def _all(self) -> Stacked:
        return {**self.bundle.parameters, **self.bundle.constants}

    @contextlib.contextmanager
    def scoring(self) -> Iterator[Scoring]:
        def score(x: torch.Tensor, y: torch.Tensor) -> Sequence[Measured]:
            # Run by run: the batches of every engine, and a large one of all runs would fill the memory.
            losses, hits = vmap(self._score, in_dims=(0, None, None), chunk_size=1)(self._all(), x, y)
            return [(a, b if self._counted else None) for a, b in zip(losses, hits, strict=True)]

        in_mode(self.task, self.model, training=False)
        try:
            with quietly():
                yield score
        finally:
            in_mode(self.task, self.model, training=True)

    def _score(self, held: Stacked, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss, hits = batch_score(self.task, functional_call(self.model, dict(held), (x,)), y)
        self._counted = hits is not None
        return loss, loss.new_zeros(()) if hits is None else hits


def dropout_calls(model: nn.Module, held: Stacked, x: torch.Tensor) -> list[Dropout]:
    """The dropout calls of one forward pass in training mode, with values `held` that may be changed.

    Raises:
        RuntimeError: the pass draws random numbers in another way, which stacked runs could not each draw alone.
    """
    device = "cpu" if x.device.type == "cpu" else str(x.device)
    with random_states_kept(0, device), torch.no_grad(), Recording() as recording:
        before = random_states()
        functional_call(model, held, (x,))
        if not random_states().same_as(before):
            raise RuntimeError("its forward pass draws random numbers other than dropout's")
    calls: list[Dropout] = recording.calls
    return calls
