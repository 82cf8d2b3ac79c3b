"""Which of a projection's output units end up together: heads, groups and halves that lie interleaved in one matrix."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

import torch

from initlab.graph.operations import TABLE
from initlab.graph.recording import Operation, Recording
from initlab.graph.replay import call
from initlab.schemes.geometry import Fans, Geometry, Packing

LARGEST = 2**23  # numbers in an output whose units are followed
FARTHEST = 96  # operations that they are followed through


def interleaved(graph: Recording, output: int, geometry: Geometry) -> Geometry | None:
    """The geometry of a matrix whose output units are read apart; None where they are not, or cannot be followed.

    The numbers of the units take the way of the output through everything that only rearranges it, so that any order
    of views, transpositions and cuts is read rightly. Units that meet again in a sum or a concatenation (the halves of
    a rotary position code) belong together.

    Args:
        graph: the recording.
        output: the value that the matrix makes.
        geometry: the matrix, its fan_out that of all units.
    """
    units = _units(graph, output, geometry)
    if units is None or not _is_cut(graph, output):
        return None
    parts = _together(_read(graph, {output: units}), geometry.shape[geometry.out_axis])
    return None if parts is None else _packed(geometry, parts)


def units_at(graph: Recording, output: int, geometry: Geometry) -> dict[int, torch.Tensor]:
    """Which of a matrix's output units stand where in every value that is only a rearrangement of what it makes."""
    units = _units(graph, output, geometry)
    held = {} if units is None else {output: units}
    _read(graph, held)
    return held


def _units(graph: Recording, output: int, geometry: Geometry) -> torch.Tensor | None:
    """The number of its unit at every place of the value that a matrix makes; None where there is no axis of units."""
    shape, features = graph.values[output].shape, geometry.shape[geometry.out_axis]
    axis = graph.feature_axis(output)
    if not 0 <= axis < len(shape) or shape[axis] != features or not 0 < math.prod(shape) <= LARGEST:
        return None
    units = torch.arange(features, dtype=torch.int32).view([-1 if i == axis else 1 for i in range(len(shape))])
    return units.expand(shape)


def _is_cut(graph: Recording, output: int) -> bool:
    """Whether anything is taken out of a value after it was only moved."""
    stack, seen = [output], {output}
    while stack:
        for reader in graph.consumers(stack.pop()):
            if reader.traits.keeps in ("part", "pieces"):
                return True
            if reader.traits.rearranges:
                stack.extend(value for value in reader.outputs if value not in seen)
                seen.update(reader.outputs)
    return False


def _read(graph: Recording, held: dict[int, torch.Tensor]) -> list[torch.Tensor]:
    """The units that stand in each value which is read by more than a rearrangement; `held` gains what is moved."""
    found: list[torch.Tensor] = []
    waiting = [reader.index for output in held for reader in graph.consumers(output)]
    done: set[int] = set()
    while waiting:  # in forward order, so that all that an operation reads is known when its turn comes
        reader = graph.operations[heapq.heappop(waiting)]
        if reader.index in done:
            continue
        done.add(reader.index)
        known = [read for read in dict.fromkeys(reader.inputs) if read in held]
        made = _after(graph, reader, known, held) if len(done) < FARTHEST else None
        if made is None:
            found.extend(held[read] for read in known)
            continue
        if reader.traits.combines == "sum" and len(known) > 1:
            found.append(torch.cat([held[read].flatten() for read in known]))
        held.update(zip(reader.outputs, made, strict=False))
        for value in reader.outputs:
            for after in graph.consumers(value):
                heapq.heappush(waiting, after.index)
    return found


def _after(
    graph: Recording, reader: Operation, known: list[int], held: dict[int, torch.Tensor]
) -> list[torch.Tensor] | None:
    """The units in what an operation makes; None where it mixes them."""
    op = TABLE[reader.kind]
    if op.skipped and len(known) == len(reader.inputs) == 1:
        return [held[known[0]]]
    if op.keeps != "none" or op.combines == "join":
        if any(value not in held for value in reader.inputs):
            return None  # an index that is a tensor, or a join with something else
        try:
            made = call(reader, held.__getitem__)
        except (RuntimeError, TypeError, ValueError, IndexError):
            return None
        return [made] if isinstance(made, torch.Tensor) else list(made)
    shape = graph.values[reader.outputs[0]].shape if reader.outputs else ()
    each = (not op.mixes and not op.attends and op.combines != "contraction" and op.weights is None) or op.norm
    same = each and shape == tuple(held[known[0]].shape)
    return [held[known[0]]] if same and (len(known) == 1 or op.combines == "sum") else None


def _together(read: Iterable[torch.Tensor], features: int) -> list[int] | None:
    """The part of every unit; None unless all are read, in two parts or more."""
    parts = list(range(features))

    def root(unit: int) -> int:
        while parts[unit] != unit:
            parts[unit] = parts[parts[unit]]
            unit = parts[unit]
        return unit

    seen: set[int] = set()
    for tensor in read:
        units = torch.unique(tensor).tolist()
        if len(units) == features:
            return None  # all of them together
        seen.update(units)
        for unit in units[1:]:
            parts[root(unit)] = root(units[0])
    names = [root(unit) for unit in range(features)]
    return names if len(seen) == features and len(set(names)) > 1 else None


def _packed(geometry: Geometry, parts: list[int]) -> Geometry | None:
    """Blocks of units that lie side by side; each has the fan_out of all units of its part."""
    counts = {part: parts.count(part) for part in set(parts)}
    runs = [(part, len(list(run))) for part, run in groupby(parts)]
    sizes = tuple(size for _, size in runs)
    if min(sizes) < 2:
        return None
    fans = tuple(Fans(geometry.fan_in, geometry.fan_out * counts[part] / len(parts)) for part, _ in runs)
    alike = len(set(fans)) == 1
    packing = Packing(geometry.out_axis, sizes, (), () if alike else fans)
    return replace(geometry, fan_out=fans[0].fan_out if alike else geometry.fan_out, packing=packing)
