"""Homes: the parameter, or the box of one, that a tensor's memory is; what was drawn there, and how often."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from initlab.planning.memory.shards import Part, local_tensor, part_of
from initlab.planning.named_streams.draws import Draw, seed_of, write_draw
from initlab.planning.named_streams.history import Call
from initlab.sampling import derive_seed

Box = tuple[tuple[int, int], ...]  # (first, size) along each axis of the local tensor


@dataclass(eq=False)
class Entry:
    """One parameter or buffer of the model.

    Args:
        name: whose stream it draws from.
        tensor: as the model holds it.
        part: what this process holds of it.
        buffer: whether it is a buffer.
        drawn: the boxes that were drawn, each with its draw's number.
        calls: what was called on it, in order.
        draws: how many of the calls were random.
        elements: how many values were drawn into it here.
        whole: calls that had to be made whole on each process.
    """

    name: str
    tensor: torch.Tensor
    part: Part
    buffer: bool = False
    drawn: list[tuple[Box, int]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    draws: int = 0
    elements: int = 0
    whole: list[str] = field(default_factory=list)

    @property
    def everything(self) -> Box:
        return tuple((0, int(size)) for size in self.part.tensor.shape)

    def next_number(self, box: Box) -> int:
        """How often anything of this box was drawn before; the draw about to be made counts from now on."""
        number = 1 + max((n for other, n in self.drawn if _meet(box, other)), default=-1)
        self.drawn.append((box, number))
        return number

    def called(self, draw: Draw, elements: int) -> None:
        """A draw into it has been made, of so many values here."""
        self.calls.append(Call.of(draw))
        self.draws += 1
        self.elements += elements


def _meet(one: Box, other: Box) -> bool:
    return all(a < b + max(m, 1) and b < a + max(n, 1) for (a, n), (b, m) in zip(one, other, strict=True))


@dataclass(frozen=True)
class Home:
    """A box of a parameter, as a view of it shows it.

    Args:
        entry: the parameter.
        box: which part of the local tensor; None for a view that is no box.
        order: the view's axes of more than one element, as axes of the parameter; None where the view is laid out anew.
        shape: the view's shape.
        strides, offset: where its elements lie, counted from the parameter's first.
    """

    entry: Entry
    box: Box | None
    order: tuple[int, ...] | None
    shape: tuple[int, ...]
    strides: tuple[int, ...] = ()
    offset: int = 0

    @property
    def counted(self) -> Box:
        return self.entry.everything if self.box is None else self.box

    @property
    def is_whole(self) -> bool:
        return self.box == self.entry.everything and self.shape == tuple(self.entry.part.tensor.shape)


def home_of(entry: Entry, view: torch.Tensor) -> Home:
    """Where in a parameter a view of its memory lies."""
    local, shape = entry.part.tensor, tuple(int(size) for size in view.shape)
    if shape == tuple(local.shape) and view.storage_offset() == local.storage_offset():
        return Home(entry, entry.everything, tuple(range(local.ndim)), shape)
    found = _by_strides(local, view) or _by_run(local, view)
    if found is not None:
        return Home(entry, found[0], found[1], shape)
    return Home(entry, None, None, shape, view.stride(), _offset(local, view))


def whole_home(entry: Entry) -> Home:
    """All of a parameter."""
    return home_of(entry, entry.part.tensor)


def _offset(local: torch.Tensor, view: torch.Tensor) -> int:
    return int(view.storage_offset() - local.storage_offset())


def _start(local: torch.Tensor, offset: int) -> list[int] | None:
    """The index of the element at this distance from the first one; None where the strides do not tell."""
    index = [0] * local.ndim
    for axis in sorted(range(local.ndim), key=local.stride, reverse=True):
        stride = local.stride(axis)
        if local.shape[axis] > 1 and stride > 0:
            index[axis], offset = divmod(offset, stride)
            if index[axis] >= local.shape[axis]:
                return None
    return index if offset == 0 else None


def _by_strides(local: torch.Tensor, view: torch.Tensor) -> tuple[Box, tuple[int, ...]] | None:
    """A view each of whose axes is an axis of the parameter."""
    start = _start(local, _offset(local, view))
    if start is None or view.numel() == 0:
        return None
    sizes, order = [1] * local.ndim, []
    for size, stride in zip(view.shape, view.stride(), strict=True):
        if size == 1:
            continue
        axis = next((a for a in range(local.ndim) if local.stride(a) == stride and local.shape[a] > 1), None)
        if axis is None or axis in order or start[axis] + size > local.shape[axis]:
            return None
        sizes[axis] = size
        order.append(axis)
    return tuple(zip(start, sizes, strict=True)), tuple(order)


def _by_run(local: torch.Tensor, view: torch.Tensor) -> tuple[Box, None] | None:
    """A run of consecutive elements that fills a box, whatever shape it is seen in."""
    if not (local.is_contiguous() and view.is_contiguous()) or view.numel() == 0:
        return None
    first = _offset(local, view)
    start, last = _start(local, first), _start(local, first + view.numel() - 1)
    if start is None or last is None:
        return None
    box = tuple((a, b - a + 1) for a, b in zip(start, last, strict=True))
    filled = all(size > 0 for _, size in box) and math.prod(size for _, size in box) == view.numel()
    return (box, None) if filled else None


def draw_at(home: Home, draw: Draw, target: torch.Tensor, seed: int) -> None:
    """Draw into a tensor what stands at its home in the parameter's stream.

    A tensor of another shape, such as the matrix that an orthogonal one is made from, gets numbers of its own.

    Args:
        home: where the values belong.
        draw: what is drawn.
        target: the parameter or a view of it, or a tensor on the side from which it will be written.
        seed: the root seed.
    """
    entry, local = home.entry, local_tensor(target)
    own = seed_of(seed, entry.next_number(home.counted))
    if home.is_whole and draw.is_elementwise and tuple(target.shape) == entry.part.shape:
        write_draw(draw, entry.name, target, part_of(entry.name, target), own)
    elif draw.is_elementwise and tuple(local.shape) == home.shape:
        local.detach().copy_(_piece(home, draw, local, own))
    else:
        beside = derive_seed(own, "beside", *(first for first, _ in home.counted))
        write_draw(draw, entry.name, target, part_of(entry.name, target), beside)


def _piece(home: Home, draw: Draw, target: torch.Tensor, seed: int) -> torch.Tensor:
    """The values of a box in the shape of its view."""
    entry, local = home.entry, home.entry.part.tensor
    if home.box is None:
        whole = torch.empty_strided(local.shape, local.stride(), dtype=target.dtype, device=target.device)
        write_draw(draw, entry.name, whole, Part(whole, entry.part.shape, entry.part.blocks), seed)
        return whole.as_strided(home.shape, home.strides, home.offset)
    sizes = [size for _, size in home.box]
    piece = torch.empty(sizes, dtype=target.dtype, device=target.device)
    write_draw(draw, entry.name, piece, _box_part(piece, home.box, entry.part), seed)
    if home.order is None:
        return piece.reshape(home.shape)
    rest = [axis for axis in range(piece.ndim) if axis not in home.order]
    return piece.permute(*home.order, *rest).reshape(home.shape)


def _box_part(piece: torch.Tensor, box: Box, part: Part) -> Part:
    """A box of what this process holds, as a part of the global tensor: each of the part's blocks cut to the box."""
    blocks = []
    for local, whole in part.blocks:
        cuts = []
        for (first, size), here, there in zip(box, local, whole, strict=True):
            low, high = max(first, here.start), min(first + size, here.stop)
            if low >= high:
                break
            shift = there.start - here.start
            cuts.append((slice(low - first, high - first), slice(low + shift, high + shift)))
        else:
            blocks.append((tuple(cut for cut, _ in cuts), tuple(cut for _, cut in cuts)))
    return Part(piece, part.shape, tuple(blocks))
