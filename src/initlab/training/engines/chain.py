"""Trains K chains of affine layers and elementwise functions at once, with the backward pass written out.

Activations are held features first, (K, features, B): a weight (out, in) multiplies them as it is stored, runs that see
one data order multiply its batch as one tall matrix, and plain SGD writes W - lr · dW in the product that computes dW.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from initlab.training.engines.bundle import Bundle
from initlab.training.engines.elementwise import ELEMENTWISE
from initlab.training.engines.heads import head_of
from initlab.training.engines.recognise import Affine, Elementwise, Stage
from initlab.training.engines.runs import Measured, batch_score
from initlab.training.engines.trainer import Scoring, Trainer
from initlab.training.sources import InMemory, Source
from initlab.training.task import Task
from initlab.training.updates import add_scaled, wide

# One kernel with the tensors it reads and writes: a step calls the same ones each time.
Operation = Callable[[], Any]


@dataclass
class _Layer:
    """One affine layer and the elementwise functions that follow it."""

    weight: str
    bias: str | None
    functions: list[Elementwise]


@dataclass
class _Room:
    """The tensors that one batch size needs, and the operations of a step on them, in order.

    Args:
        x: (S, B, in), one batch for each of S groups of runs.
        values: for each layer, what the affine map and each of its functions give, (K, out, B).
        gradients: for each layer, the gradient of the loss at what it gives.
        forward: fills `values`.
        backward: from the last of `gradients` to every update; there is none for evaluation.
    """

    x: torch.Tensor
    values: list[list[torch.Tensor]]
    gradients: list[torch.Tensor]
    forward: list[Operation]
    backward: list[Operation]


class ChainTrainer(Trainer):
    """Runs of one chain in training.

    Args:
        task, source, bundle: as for `Trainer`.
        stages: the chain.
    """

    def __init__(self, task: Task, stages: Sequence[Stage], source: Source, bundle: Bundle) -> None:
        super().__init__(task, source, bundle)
        self.layers = _layers(stages)
        last = bundle.parameters[self.layers[-1].weight]
        self.head = head_of(task, source, last.shape[1])
        # Runs of one order multiply one batch if every order has as many runs; else each has a batch of its own.
        self.groups = len(self.orders) if _regular(self.order_of.tolist()) else len(bundle)
        self._rooms: dict[int, _Room] = {}
        self._sums_in_place = self.optimizer.row.linear(task.options)

    def training(self) -> AbstractContextManager[object]:
        return torch.no_grad()

    def step(self) -> torch.Tensor:
        room, y = self._batch()
        for operation in room.forward:
            operation()
        losses = self.head(room.values[-1][-1], y, room.gradients[-1])
        self.optimizer.count += 1
        for operation in room.backward:
            operation()
        return losses

    def _batch(self) -> tuple[_Room, torch.Tensor]:
        """The room whose x holds the step's batch, and Y (K, B, ...)."""
        index = torch.stack([order.batch(self.bundle.steps) for order in self.orders])
        samples = index.shape[1]
        if samples not in self._rooms:
            self._rooms[samples] = self._room(self.groups, samples, training=True)
        room = self._rooms[samples]
        each = index.index_select(0, self.order_of)
        of_groups = (index if self.groups == len(index) else each).view(-1)
        if not isinstance(self.source, InMemory):
            x, y = self.source.gather(index.view(-1))
            place = torch.arange(index.numel(), device=index.device).view_as(index)
            each = place.index_select(0, self.order_of)
            of_groups = (place if self.groups == len(index) else each).view(-1)
        else:
            x, y = self.source.x, self.source.y
        torch.index_select(x.view(len(x), -1), 0, of_groups, out=room.x.view(len(of_groups), -1))
        return room, y.index_select(0, each.view(-1)).view(*each.shape, *y.shape[1:])

    def _room(self, groups: int, samples: int, training: bool) -> _Room:
        weights = [self.bundle.parameters[layer.weight] for layer in self.layers]
        x = weights[0].new_empty(groups, samples, weights[0].shape[2])
        values = []
        for weight, layer in zip(weights, self.layers, strict=True):
            z = weight.new_empty(len(weight), weight.shape[1], samples)
            places = range(len(layer.functions))
            values.append([z, *(z if _in_place(layer, place) else torch.empty_like(z) for place in places)])
        gradients = [torch.empty_like(value[0]) for value in values] if training else []
        room = _Room(x, values, gradients, [], [])
        room.forward.extend(self._forward(room))
        if training:
            room.backward.extend(self._backward(room))
        return room

    def _forward(self, room: _Room) -> Iterator[Operation]:
        h, groups = room.x.transpose(1, 2), len(room.x)
        for layer, values in zip(self.layers, room.values, strict=True):
            weight = self.bundle.parameters[layer.weight]
            weight, out = weight.view(groups, -1, weight.shape[2]), values[0].view(groups, -1, values[0].shape[2])
            if layer.bias is None:
                yield partial(torch.bmm, weight, h, out=out)
            else:
                bias = self.bundle.parameters[layer.bias].view(groups, -1, 1)
                yield partial(torch.baddbmm, bias, weight, h, out=out)
            for function, before, after in zip(layer.functions, values, values[1:], strict=False):
                yield partial(ELEMENTWISE[function.name].forward, before, function.arguments, after)
            h, groups = values[-1], len(self.bundle)

    def _backward(self, room: _Room) -> Iterator[Operation]:
        """From the last layer to the first: the functions, the gradient of the layer before, then the update.

        A layer's weight is read for the gradient of the layer before ahead of its own update.
        """
        gradients_of_parameters: dict[str, torch.Tensor] = {}
        for place in range(len(self.layers) - 1, -1, -1):
            layer, values, gradient = self.layers[place], room.values[place], room.gradients[place]
            for number in range(len(layer.functions) - 1, -1, -1):
                function = layer.functions[number]
                derivative = ELEMENTWISE[function.name]
                kept = values[number + 1 if derivative.from_output else number]
                yield partial(derivative.backward, gradient, kept, function.arguments, gradient)
            h = room.x
            if place:
                h = room.values[place - 1][-1].transpose(1, 2)
                weight = self.bundle.parameters[layer.weight].transpose(1, 2)
                yield partial(torch.bmm, weight, gradient, out=room.gradients[place - 1])
            if self._sums_in_place:
                yield from self._sgd(layer, gradient, h)
            else:
                yield from self._gradients(layer, gradient, h, gradients_of_parameters)
        if not self._sums_in_place:
            yield partial(self.optimizer.update, self.bundle.parameters, gradients_of_parameters)

    def _gradients(
        self, layer: _Layer, gradient: torch.Tensor, h: torch.Tensor, into: dict[str, torch.Tensor]
    ) -> Iterator[Operation]:
        """Store the gradients of a layer's parameters."""
        if layer.bias is not None:
            into[layer.bias] = torch.empty_like(self.bundle.parameters[layer.bias])
            yield partial(torch.sum, gradient, 2, out=into[layer.bias])
        product = into[layer.weight] = torch.empty_like(self.bundle.parameters[layer.weight])
        groups = len(h)
        tall = gradient.view(groups, -1, gradient.shape[2])
        yield partial(torch.bmm, tall, h, out=product.view(groups, -1, product.shape[2]))

    def _sgd(self, layer: _Layer, gradient: torch.Tensor, h: torch.Tensor) -> Iterator[Operation]:
        """SGD, with momentum or without, that stores no gradient of a weight: the product adds to what it updates."""
        momentum, optimizer = self.task.options["momentum"], self.optimizer
        part = optimizer.part(layer.weight)
        if layer.bias is not None:
            stored = torch.empty_like(self.bundle.parameters[layer.bias])
            yield partial(torch.sum, gradient, 2, out=stored)
            yield partial(optimizer.update, self.bundle.parameters, {layer.bias: stored})
        weight = self.bundle.parameters[layer.weight]
        target = optimizer.slots["momentum"][layer.weight] if momentum else weight
        lr, decay = wide(part.lr, weight), wide(part.weight_decay, weight)
        groups, scale = len(h), 1.0
        if not momentum:
            if part.decays:
                yield partial(weight.mul_, 1 - lr * decay)
            if isinstance(lr, torch.Tensor):
                scaled = torch.empty_like(gradient)
                yield partial(torch.mul, gradient, lr, out=scaled)
                gradient, scale = scaled, -1.0
            else:
                scale = -lr
        tall, sums = gradient.view(groups, -1, gradient.shape[2]), target.view(groups, -1, target.shape[2])
        yield partial(sums.baddbmm_, tall, h, beta=momentum or 1.0, alpha=scale)
        if momentum:
            if part.decays:
                yield partial(add_scaled, target, decay, weight)
            yield partial(add_scaled, weight, -lr, target)

    @contextmanager
    def scoring(self) -> Iterator[Scoring]:
        rooms: dict[int, _Room] = {}

        def score(x: torch.Tensor, y: torch.Tensor) -> Sequence[Measured]:
            if len(x) not in rooms:
                rooms.clear()  # one at a time: the last batch may be smaller
                rooms[len(x)] = self._room(1, len(x), training=False)
            room = rooms[len(x)]
            room.x.copy_(x.reshape(room.x.shape))
            for operation in room.forward:
                operation()
            outputs = room.values[-1][-1].transpose(1, 2).contiguous()
            return [batch_score(self.task, output, y) for output in outputs]

        yield score


def _layers(stages: Sequence[Stage]) -> list[_Layer]:
    layers: list[_Layer] = []
    for stage in stages:
        if isinstance(stage, Affine):
            layers.append(_Layer(stage.weight, stage.bias, []))
        else:
            layers[-1].functions.append(stage)
    return layers


def _in_place(layer: _Layer, place: int) -> bool:
    """Whether the function may overwrite its input: it needs only its output later, and nothing before it does."""
    return place == 0 and ELEMENTWISE[layer.functions[place].name].from_output


def _regular(order_of: Sequence[int]) -> bool:
    """Whether runs of one order stand side by side, as many as of every other."""
    changes = sum(before != after for before, after in pairwise(order_of))
    return changes == len(set(order_of)) - 1 and len(set(Counter(order_of).values())) == 1
