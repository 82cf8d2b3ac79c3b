"""How each parameter grows from a base model to a model: by how much its fans, and how many times more branches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from initlab.errors import InputError, shortened, shown, text
from initlab.graph import record
from initlab.planning.parameters.names import BLOCK_NUMBER
from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject, scene_of
from initlab.planning.parameters.walk import walk
from initlab.sampling import canonical_name

Kind = Literal["input", "hidden", "output", "fixed"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Growth:
    """How one parameter grows.

    Args:
        name: its canonical name.
        kind: "input" (only its outputs grow: tables, biases, norms, first layers), "hidden" (both fans do), "output"
            (only its inputs do: read-outs, routers, heads of a fixed size), "fixed".
        fan_in: fan_in over the base's.
        fan_out: fan_out over the base's, of all groups together: a gradient goes by all units, whoever they read.
        branches: residual branches over the base's, for what stands in a branch; 1 elsewhere. Without a base: layers
            of two branches.
        ends: whether it is the last weight of a residual branch, or that layer's bias.
        tied: whether it is a table that is the read-out too.
        table: whether its rows are looked up or added: embeddings, positions.
        matrix: whether it is a matrix within the model, no read-out.
        tall: by how much √max(1, rows/columns) grew, which Muon multiplies its steps by.
    """

    name: str
    kind: Kind
    fan_in: float
    fan_out: float
    branches: float = 1.0
    ends: bool = False
    tied: bool = False
    table: bool = False
    matrix: bool = False
    tall: float = 1.0


@dataclass(frozen=True)
class Part:
    """What one parameter of a base is: its shape, and its fans where they are known."""

    shape: Shape
    fans: tuple[float, float] | None = None


@dataclass(frozen=True)
class Base:
    """What growth is measured from.

    Args:
        parts: by canonical name.
        branches: how many residual branches it has; None where that is not known.
    """

    parts: Mapping[str, Part]
    branches: int | None = None

    def part(self, name: str) -> Part | None:
        """The base's part of a parameter: under its name, else its like in other blocks; None where it has none.

        Raises:
            InputError: its likes have different shapes.
        """
        if name in self.parts:
            return self.parts[name]
        pattern = numberless(name)
        likes = {part for other, part in self.parts.items() if numberless(other) == pattern}
        if len(likes) > 1:
            raise InputError(
                f"the growth of {name!r} in width is not known: base holds its likes in other blocks with the shapes "
                f"{sorted(part.shape for part in likes)}; give a base of the same depth"
            )
        return likes.pop() if likes else None


def numberless(name: str) -> str:
    """A name with its block numbers taken away.

    >>> numberless("blocks.11.mlp.0.weight")
    'blocks.*.mlp.*.weight'
    """
    return BLOCK_NUMBER.sub("*", name)


def base_of(base: Any, example_inputs: Any) -> Base:
    """A base from what a user may give: a smaller build, or a mapping of parameter names to shapes.

    Raises:
        InputError: anything else.
    """
    if isinstance(base, nn.Module):
        scene = _scene(base, example_inputs)
        parts = {subject.name: Part(subject.shape, _fans(subject)) for subject in scene.subjects()}
        return Base(parts, _branches(scene))
    if isinstance(base, Mapping) and base:
        return Base({canonical_name(text(name)): Part(_shape(text(name), shape)) for name, shape in base.items()})
    raise InputError(
        "base must be a smaller build of the same model, or a mapping of parameter names to shapes; got "
        f"{type(base).__name__}"
    )


def _shape(name: str, shape: Any) -> Shape:
    sizes = tuple(shape.shape) if isinstance(shape, torch.Tensor) else shape
    try:
        return tuple(int(size.__index__()) for size in sizes)
    except (TypeError, AttributeError):
        raise InputError(f"base must hold shapes; {shortened(name)!r} has {shown(shape)}") from None


def _scene(model: nn.Module, example_inputs: Any) -> Scene:
    return scene_of(model, walk(model), None if example_inputs is None else record(model, example_inputs))


def _branches(scene: Scene) -> int:
    return sum(ROLES["branch_end"].holds(subject) for subject in scene.subjects())


def growths(model: nn.Module, base: Base | None, example_inputs: Any = None, strict: bool = True) -> dict[str, Growth]:
    """The growth of every parameter by its canonical name.

    Args:
        model: the model to train.
        base: what it grew from; None measures from fans of one and from one layer of two branches.
        example_inputs: for one recorded pass, which shows the fans of bare parameters and the residual branches.
        strict: whether a growth that is not known is an error; "fixed" otherwise.

    Raises:
        InputError: a parameter whose growth in width is not known (the message names it).
    """
    scene = _scene(model, example_inputs)
    count, before = _branches(scene), 2 if base is None else base.branches
    deeper = count / before if count and before else 1.0
    deeper = max(1.0, deeper) if base is None else deeper
    inside, ends = _in_branches(scene), _ends(scene)
    found = {}
    for subject in scene.subjects():
        growth = _growth(subject, base) if strict else _known(subject, base)
        name, ended = subject.name, subject.name in ends
        branches = deeper if ended or name in inside else 1.0
        found[name] = replace(
            growth,
            branches=branches,
            ends=ended,
            tied=ROLES["tied_head"].holds(subject),
            table=subject.role != "weight" and len(subject.shape) > 1,
            matrix=_is_matrix(subject) and growth.kind != "output",
            tall=_tall(subject.shape) / (1.0 if base is None else _tall(_shape_in(base, name))),
        )
    return found


def _is_matrix(subject: Subject) -> bool:
    return subject.role == "weight" and len(subject.shape) == 2 and not ROLES["head"].holds(subject)


def _tall(shape: Shape) -> float:
    return math.sqrt(max(1.0, shape[0] / shape[1])) if len(shape) == 2 and shape[1] else 1.0


def _shape_in(base: Base, name: str) -> Shape:
    part = base.part(name)
    return () if part is None else part.shape


def _ends(scene: Scene) -> set[str]:
    """The last weights of branches, and the biases of their layers."""
    ended = [subject for subject in scene.subjects() if ROLES["branch_end"].holds(subject)]
    layers = {id(subject.module): subject for subject in ended}
    biases = {s.name for s in scene.subjects() if s.role == "bias" and id(s.module) in layers}
    return {subject.name for subject in ended} | biases


def _in_branches(scene: Scene) -> set[str]:
    """The parameters that stand in residual branches: as recorded, else those of the numbered blocks that end one."""
    if scene.graph is not None:
        return {canonical_name(name) for branch in scene.graph.residual_branches() for name in branch}
    blocks = {_block(name) for name in _ends(scene)} - {""}
    return {subject.name for subject in scene.subjects() if _block(subject.name) in blocks}


def _block(name: str) -> str:
    found = BLOCK_NUMBER.search(name)
    return "" if found is None else name[: found.end()]


def _known(subject: Subject, base: Base | None) -> Growth:
    try:
        return _growth(subject, base)
    except InputError:
        return Growth(subject.name, "fixed", 1.0, 1.0)


def _growth(subject: Subject, base: Base | None) -> Growth:
    name, shape = subject.name, subject.shape
    if base is None:
        fan_in, fan_out = _own_fans(subject)
        return Growth(name, _own_kind(subject), fan_in, fan_out)
    part = base.part(name)
    if part is None or len(part.shape) != len(shape):
        held = "has no such parameter" if part is None else f"holds it with the shape {part.shape}, not {shape}"
        raise InputError(f"the growth of {name!r} in width is not known: base {held}")
    if part.shape == shape:
        return Growth(name, "fixed", 1.0, 1.0)
    fan_in, fan_out = _ratios(subject, part)
    kind: Kind = "fixed" if fan_in == fan_out == 1 else "hidden"
    if (fan_in == 1) != (fan_out == 1):
        kind = "input" if fan_in == 1 else "output"
    return Growth(name, kind, fan_in, fan_out)


def _own_kind(subject: Subject) -> Kind:
    """Without a base, read-outs and what is no matrix are told by their role."""
    if ROLES["head"].holds(subject):
        return "output"
    return "hidden" if subject.role == "weight" else "input"


def _fans(subject: Subject) -> tuple[float, float] | None:
    """The fans of a matrix, its outputs counted over all groups; (1, length) of a vector; None where not understood."""
    geometry = subject.geometry
    if subject.role in ("weight", "embedding") and geometry is not None and geometry.matrix_like:
        return geometry.fan_in, geometry.fan_out * geometry.groups
    return (1.0, float(max(subject.shape, default=1))) if len(subject.shape) <= 1 else None


def _own_fans(subject: Subject) -> tuple[float, float]:
    """The fans without a base: of one expert among several, of a position its row's, of one long axis its length."""
    fans, shape = _fans(subject), subject.shape
    if fans is not None:
        apart = 1 if subject.geometry is None or subject.kind.startswith("conv") else subject.geometry.groups
        return fans[0], fans[1] / apart
    if sum(size > 1 for size in shape) <= 1:
        return 1.0, float(max(shape, default=1))
    if ROLES["position"].holds(subject) or ROLES["token"].holds(subject):
        return 1.0, float(shape[-1])
    raise InputError(
        f"the growth of {subject.name!r} in width is not known: its use is not known, of shape {shape}; pass "
        "example_inputs, or leave it out by requires_grad_(False)"
    )


def _ratios(subject: Subject, part: Part) -> tuple[float, float]:
    """By how much the fans grow: of the fans themselves, of the axes where only shapes are given."""
    fans, geometry = _fans(subject), subject.geometry
    if fans is not None and part.fans is not None:
        return fans[0] / part.fans[0], fans[1] / part.fans[1]
    grown = {
        axis: now / then for axis, (now, then) in enumerate(zip(subject.shape, part.shape, strict=True)) if now != then
    }
    if len(grown) == 1 and (geometry is None or subject.role not in ("weight", "embedding")):
        return 1.0, next(iter(grown.values()))
    if fans is None or geometry is None or geometry.groups > 1:
        raise InputError(
            f"the growth of {subject.name!r} in width is not known: {part.shape} grows to {subject.shape} and its use "
            "is not known; give a model for base, pass example_inputs, or leave it out by requires_grad_(False)"
        )
    return grown.get(geometry.in_axis, 1.0) if subject.role == "weight" else 1.0, grown.get(geometry.out_axis, 1.0)
