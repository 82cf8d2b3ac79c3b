"""Runs held as one set of stacked tensors: (K, ...) for each parameter, buffer and optimizer state of K runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from initlab.training.batches import order_seed
from initlab.training.engines.runs import forward_seed
from initlab.training.task import RunSpec, Task

Stacked = dict[str, torch.Tensor]


@dataclass
class Bundle:
    """K runs of one architecture, all at the same step.

    Args:
        specs: the K runs, in stacking order.
        steps: optimizer steps that each has done.
        parameters: name -> (K, ...), trained.
        constants: name -> (K, ...), parameters that do not require grad, and buffers.
        slots: the optimizer's own tensors: slot -> name -> (K, ...).
        generators: each run's random numbers for dropout.
    """

    specs: list[RunSpec]
    steps: int
    parameters: Stacked
    constants: Stacked
    generators: list[torch.Generator]
    slots: dict[str, Stacked] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.specs)


def bundle_of(task: Task, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> Bundle:
    """The runs of `models` at step 0, stacked; runs that share a data order stand side by side."""
    seeds = [order_seed(task, spec) for spec in specs]
    first = {seed: place for place, seed in reversed(list(enumerate(seeds)))}
    places = sorted(range(len(specs)), key=lambda place: first[seeds[place]])
    ordered = [models[place] for place in places]
    trained = [name for name, parameter in ordered[0].named_parameters() if parameter.requires_grad]
    tensors = [{**dict(model.named_parameters()), **dict(model.named_buffers())} for model in ordered]
    stacked = {name: torch.stack([one[name].detach() for one in tensors]) for name in tensors[0]}
    return Bundle(
        [specs[place] for place in places],
        0,
        {name: stacked[name] for name in trained},
        {name: tensor for name, tensor in stacked.items() if name not in trained},
        [_generator(task, specs[place]) for place in places],
    )


def _generator(task: Task, spec: RunSpec) -> torch.Generator:
    generator = torch.Generator(task.device)
    generator.manual_seed(forward_seed(task, spec))
    return generator


def take(bundle: Bundle, places: Sequence[int]) -> Bundle:
    """A copy of the runs at `places`."""
    device = next(iter(bundle.parameters.values())).device
    index = torch.tensor(list(places), dtype=torch.int64, device=device)
    return Bundle(
        [bundle.specs[place] for place in places],
        bundle.steps,
        _picked(bundle.parameters, index),
        _picked(bundle.constants, index),
        [bundle.generators[place].clone_state() for place in places],
        {slot: _picked(tensors, index) for slot, tensors in bundle.slots.items()},
    )


def join(bundles: Sequence[Bundle]) -> Bundle:
    """Bundles at the same step as one, in the order given."""
    first = bundles[0]
    return Bundle(
        [spec for bundle in bundles for spec in bundle.specs],
        first.steps,
        _joined([bundle.parameters for bundle in bundles]),
        _joined([bundle.constants for bundle in bundles]),
        [generator for bundle in bundles for generator in bundle.generators],
        {slot: _joined([bundle.slots[slot] for bundle in bundles]) for slot in first.slots},
    )


def run_bytes(bundle: Bundle, slots: int) -> int:
    """Bytes that one run of the bundle holds with its gradient, under an optimizer of `slots` tensors a parameter."""
    parameters = sum(t.nbytes for t in bundle.parameters.values())
    constants = sum(t.nbytes for t in bundle.constants.values())
    return ((2 + slots) * parameters + constants) // len(bundle)


def _picked(tensors: Stacked, index: torch.Tensor) -> Stacked:
    return {name: tensor.detach().index_select(0, index) for name, tensor in tensors.items()}


def _joined(parts: Sequence[Stacked]) -> Stacked:
    return {name: torch.cat([part[name].detach() for part in parts]) for name in parts[0]}


def packs(task: Task, specs: Sequence[RunSpec], size: int) -> list[list[int]]:
    """Places of `specs` cut into packs of at most `size` runs; a data order is kept whole where it fits.

    An order with more runs than `size` is cut into near-equal pieces.
    """
    by_order: dict[int, list[int]] = {}
    for place, spec in enumerate(specs):
        by_order.setdefault(order_seed(task, spec), []).append(place)
    result: list[list[int]] = []
    open_pack: list[int] = []
    for places in by_order.values():
        if len(places) > size:
            pieces = -(-len(places) // size)
            result.extend(places[i * len(places) // pieces : (i + 1) * len(places) // pieces] for i in range(pieces))
            continue
        if open_pack and len(open_pack) + len(places) > size:
            result.append(open_pack)
            open_pack = []
        open_pack = open_pack + places
    return [*result, open_pack] if open_pack else result
