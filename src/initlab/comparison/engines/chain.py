"""Trains K chains of affine layers and elementwise functions at once, with the backward pass written out.

Activations are held features first, (K, features, B): a weight (out, in) multiplies them as it is stored, runs that see
one data order multiply its batch as one tall matrix, and plain SGD writes W - lr · dW in the product that computes dW.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from initlab.comparison.engines.base import Score
from initlab.comparison.engines.batches import Source, order_seed, orders
from initlab.comparison.engines.bundle import Bundle
from initlab.comparison.engines.elementwise import ELEMENTWISE
from initlab.comparison.engines.heads import head_of
from initlab.comparison.engines.optim import UPDATES, PerRun, StackedOptimizer, add_scaled, wide
from initlab.comparison.engines.recognise import Affine, Elementwise, Stage
from initlab.comparison.engines.runs import Tally, batch_score, slices
from initlab.comparison.task import Task

# How many steps pass between two looks at whether any run of the stack is still finite.
LOOK = 32


@dataclass
class _Layer:
    """One affine layer and the elementwise functions that follow it."""

    weight: str
    bias: str | None
    functions: list[Elementwise]


@dataclass
class _Buffers:
    """What one batch size needs: for each layer its values z, φ(z), …, and the gradient that arrives there."""

    values: list[list[torch.Tensor]]
    gradients: list[torch.Tensor]


class ChainTrainer:
    """A `Bundle` of chains in training; the bundle's tensors are updated in place."""

    def __init__(self, task: Task, stages: Sequence[Stage], source: Source, bundle: Bundle) -> None:
        self.task = task
        self.bundle = bundle
        self.source = source
        self.layers = _layers(stages)
        self.optimizer = StackedOptimizer(task, bundle)
        self.head = head_of(task, source, self._weight(-1).shape[1])
        self._orders = list(orders(task, bundle.specs, len(source)).values())
        counts = Counter(order_seed(task, spec) for spec in bundle.specs)
        regular = len(set(counts.values())) == 1 and _side_by_side(task, bundle)
        seeds = list(dict.fromkeys(order_seed(task, spec) for spec in bundle.specs))
        order_of = [seeds.index(order_seed(task, spec)) for spec in bundle.specs]
        self._order_of = torch.tensor(order_of, device=task.device)
        self.groups = len(counts) if regular else len(bundle)
        self._buffers: dict[int, _Buffers] = {}
        self._fused = task.optimizer == "sgd" and not task.options["nesterov"]

    def _weight(self, layer: int) -> torch.Tensor:
        return self.bundle.parameters[self.layers[layer].weight]

    def advance(self, steps: int) -> np.ndarray:
        """(steps, K) losses; fewer rows where every run has stopped being finite."""
        losses = torch.empty(steps, len(self.bundle), dtype=self.task.dtype, device=self.task.device)
        with torch.no_grad():
            for step in range(steps):
                losses[step] = self._step()
                if step % LOOK == LOOK - 1 and not bool(losses[step].isfinite().any()):
                    losses = losses[: step + 1]
                    break
        return losses.to("cpu", torch.float64).numpy()

    def _step(self) -> torch.Tensor:
        x, y = self._batch()
        buffers = self._room(x.shape[1])
        output = self._forward(x, buffers)
        losses, gradient = self.head(output, y)
        self.optimizer.count += 1
        self._backward(x, gradient, buffers)
        self.bundle.steps += 1
        return losses

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """X (S, B, in), one batch for each of S groups of runs, and Y (K, B, ...)."""
        indices = [order.batch(self.bundle.steps) for order in self._orders]
        x, y = self.source.gather(indices[0] if len(indices) == 1 else torch.cat(indices))
        samples = len(indices[0])
        x = x.reshape(len(indices), samples, -1)
        y = y.view(len(indices), samples, *y.shape[1:])
        shared = self.groups == len(indices)
        return (x if shared else x.index_select(0, self._order_of)), y.index_select(0, self._order_of)

    def _room(self, samples: int) -> _Buffers:
        if samples not in self._buffers:
            weights = [self.bundle.parameters[layer.weight] for layer in self.layers]
            room = [weight.new_empty(len(weight), weight.shape[1], samples) for weight in weights]
            values = [
                [z, *(z if _in_place(layer, place) else torch.empty_like(z) for place in range(len(layer.functions)))]
                for layer, z in zip(self.layers, room, strict=True)
            ]
            self._buffers[samples] = _Buffers(values, [torch.empty_like(z) for z in room])
        return self._buffers[samples]

    def _forward(self, x: torch.Tensor, buffers: _Buffers) -> torch.Tensor:
        h = x.transpose(1, 2)
        groups = len(x)
        for layer, values in zip(self.layers, buffers.values, strict=True):
            weight = self.bundle.parameters[layer.weight]
            shape = (groups, -1, weight.shape[2])
            out = values[0].view(groups, -1, values[0].shape[2])
            if layer.bias is None:
                torch.bmm(weight.view(shape), h, out=out)
            else:
                torch.baddbmm(self.bundle.parameters[layer.bias].view(groups, -1, 1), weight.view(shape), h, out=out)
            h = values[0]
            for function, result in zip(layer.functions, values[1:], strict=True):
                ELEMENTWISE[function.name].forward(h, function.arguments, result)
                h = result
            groups = len(self.bundle)
        return h

    def _backward(self, x: torch.Tensor, gradient: torch.Tensor, buffers: _Buffers) -> None:
        for place in range(len(self.layers) - 1, -1, -1):
            layer, values = self.layers[place], buffers.values[place]
            for number in range(len(layer.functions) - 1, -1, -1):
                function = layer.functions[number]
                kept = values[number + 1 if ELEMENTWISE[function.name].from_output else number]
                ELEMENTWISE[function.name].backward(gradient, kept, function.arguments, gradient)
            before = gradient
            if place:
                weight = self.bundle.parameters[layer.weight]
                gradient = torch.bmm(weight.transpose(1, 2), before, out=buffers.gradients[place - 1])
            self._update(layer, before, x if place == 0 else buffers.values[place - 1][-1].transpose(1, 2))

    def _update(self, layer: _Layer, gradient: torch.Tensor, h: torch.Tensor) -> None:
        """Update a layer from the gradient at its output (K, out, B) and its input h (S or K, B, in)."""
        if layer.bias is not None:
            self._apply(layer.bias, gradient.sum(2))
        groups = len(h)
        if self._fused:
            self._fused_sgd(layer.weight, gradient, h)
            return
        weight = self.bundle.parameters[layer.weight]
        product = torch.bmm(gradient.view(groups, -1, gradient.shape[2]), h).view(weight.shape)
        self._apply(layer.weight, product)

    def _apply(self, name: str, gradient: torch.Tensor) -> None:
        UPDATES[self.task.optimizer](self.optimizer, name, self.bundle.parameters[name], gradient)

    def _fused_sgd(self, name: str, gradient: torch.Tensor, h: torch.Tensor) -> None:
        """SGD, with momentum or without, whose gradient is never stored: the product adds to what it updates."""
        weight, momentum = self.bundle.parameters[name], self.task.options["momentum"]
        lr, decay = self.optimizer.lr, self.optimizer.weight_decay
        target, scale = weight, -1.0
        if momentum:
            target, scale = self.optimizer.slots["momentum"][name], 1.0
            target.mul_(momentum)
            if self.optimizer.decays:
                add_scaled(target, wide(decay, target), weight)
        else:
            if self.optimizer.decays:
                weight.mul_(1 - wide(lr, weight) * wide(decay, weight))
            gradient, scale = _scaled(gradient, lr)
        groups = (len(h), -1)
        target.view(*groups, h.shape[2]).baddbmm_(gradient.view(*groups, gradient.shape[2]), h, alpha=scale)
        if momentum:
            add_scaled(weight, -wide(lr, weight), target)

    def measure(self, source: Source) -> list[Score]:
        """(mean loss, accuracy or None) of each run over `source`."""
        tally = Tally(self.task, len(self.bundle))
        with torch.no_grad():
            for x, y in slices(source, self.task.eval_batch, self.task.device):
                flat = x.reshape(1, len(x), -1)
                outputs = self._forward(flat, self._room(len(x))).transpose(1, 2).contiguous()
                tally.add([batch_score(self.task, output, y) for output in outputs], y)
        self._buffers.clear()
        return tally.scores()


def _scaled(gradient: torch.Tensor, lr: PerRun) -> tuple[torch.Tensor, float]:
    """The gradient and the factor by which the product is to be multiplied: lr itself where all runs share it."""
    if isinstance(lr, torch.Tensor):
        return gradient * lr.view(-1, 1, 1), -1.0
    return gradient, -lr


def _layers(stages: Sequence[Stage]) -> list[_Layer]:
    layers: list[_Layer] = []
    for stage in stages:
        if isinstance(stage, Affine):
            layers.append(_Layer(stage.weight, stage.bias, []))
        else:
            layers[-1].functions.append(stage)
    return layers


def _in_place(layer: _Layer, place: int) -> bool:
    """Whether the function may overwrite its input: it needs only its output later, and so does the one before."""
    return place == 0 and ELEMENTWISE[layer.functions[place].name].from_output


def _side_by_side(task: Task, bundle: Bundle) -> bool:
    seeds = [order_seed(task, spec) for spec in bundle.specs]
    changes = sum(before != after for before, after in pairwise(seeds))
    return changes == len(set(seeds)) - 1
