"""While it is entered, what is drawn into the model comes from its parameters' own streams, whatever draws it."""

# mypy: disable-error-code="no-untyped-call"
# (torch leaves its dispatch modes unannotated.)

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map_only

from initlab.guest.whole import is_sharded_type
from initlab.planning.memory.drawing import Job, write_one
from initlab.planning.memory.shards import is_split, local_tensor, part_of
from initlab.planning.memory.tensors import DTYPES
from initlab.planning.named_streams.calls import (
    call_of,
    device_of,
    fills_memory,
    made_whole,
    memory_of,
    overwrites,
    tensor_at,
    written_places,
)
from initlab.planning.named_streams.draws import Draw, factory_draw, is_known, seed_of
from initlab.planning.named_streams.homes import Entry, Home, draw_at, home_of, whole_home
from initlab.planning.named_streams.memories import Memories, address, is_strided
from initlab.planning.named_streams.rewind import Rewinder
from initlab.planning.named_streams.tape import DEEPEST, Form, Node, Ref, made_again, owners_of
from initlab.sampling import laws

_LIKE = ("randn_like", "rand_like", "randint_like")


class NamedDraws(TorchDispatchMode):
    """The mode; `entries` are the model's tensors."""

    def __init__(self, entries: list[Entry], seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.rewinder = Rewinder()
        self.elsewhere = 0  # draws that are not the model's
        self.memories = Memories(entries)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        written = written_places(func)
        if torch.Tag.nondeterministic_seeded in func.tags:
            return self._random(func, args, named, written)
        tensors = [value for value in tree_flatten((args, named))[0] if isinstance(value, torch.Tensor)]
        if not tensors:
            return func(*args, **named)
        lists = [args[index] for index in written if index < len(args) and isinstance(args[index], list | tuple)]
        if lists:
            return self._write_each(func, args, named, lists[0])
        targets = [value for value in (tensor_at(place, func, args, named) for place in written) if value is not None]
        if targets:
            return self._write(func, args, named, targets)
        return self._compute(func, args, named, tensors)

    def _random(self, func: Any, args: tuple[Any, ...], named: dict[str, Any], written: list[int]) -> Any:
        op = func.overloadpacket.__name__
        if written and written[0] == 0:
            return self.draw_in_place(
                args[0], Draw(op.rstrip("_"), args[1:], named, func), lambda: func(*args, **named)
            )
        target = named.get("out")
        if isinstance(target, torch.Tensor):
            draw = factory_draw(op, args, {}, func)
            return self.draw_in_place(target, draw, lambda: func(*args, **named))
        home = self.memories.home_of(args[0]) if op in _LIKE else None
        if home is not None:
            options = {key: value for key, value in named.items() if key in ("dtype", "device", "memory_format")}
            made = torch.empty_like(args[0], **options)
            return self.draw_in_place(made, factory_draw(op, args[1:], {}, func), lambda: made, home)
        with self.rewinder.watching(device_of(args, named), named.get("generator")) as taken:
            result = func(*args, **named)
        self.elsewhere += 1
        if isinstance(result, torch.Tensor) and is_strided(result):
            draw = factory_draw(op, args, named, func)
            node = Node(Form.of(result), draw, device=result.device, owners=frozenset({None}))
            self.rewinder.took(taken, node)
            self.memories.remember(result, node, None)
        return result

    def draw_in_place(self, target: torch.Tensor, draw: Draw, original: Any, home: Home | None = None) -> Any:
        """A draw into a tensor: from the stream of the parameter it is, or is derived from; else as torch makes it."""
        entry = self.memories.entry_of(target)
        home = home or self.memories.home_of(target)
        if home is None or (entry is None and not is_known(draw, target.dtype)):
            return self._draw_elsewhere(target, draw, original)
        if entry is not None:
            draw = Draw(draw.op, self._settled(draw.arguments, home), draw.named, draw.func, draw.in_place)
        draw_at(home, draw, target, self.seed)
        if entry is not None:
            entry.called(draw, int(local_tensor(target).numel()))
        else:
            home.entry.called(draw, int(local_tensor(target).numel()))
            self._leaf(target, draw, frozenset({home.entry}), home)
        return target

    def drawn_by_law(self, target: torch.Tensor, law: laws.Law, draw: Draw, seed: int | None = None) -> bool:
        """Write one of our own laws, that of a draw, into a whole parameter; False where it is not one."""
        entry = self.memories.entry_of(target)
        if entry is None or not home_of(entry, local_tensor(target)).is_whole or target.dtype not in DTYPES:
            return False
        number = entry.next_number(entry.everything)
        job = Job(entry.name, target, part_of(entry.name, target), law)
        write_one(job, seed_of(self.seed if seed is None else seed, number))
        entry.called(draw, int(local_tensor(target).numel()))
        if law.needs_whole and is_split(target):
            entry.whole.append(draw.describe())
        return True

    def _draw_elsewhere(self, target: torch.Tensor, draw: Draw, original: Any) -> Any:
        before = self._snapshot(target)
        with self.rewinder.watching(target.device, draw.named.get("generator")) as taken:
            result = original()
        self.elsewhere += 1
        node = self._leaf(target, draw, frozenset({None}), None, before)
        if node is not None:
            self.rewinder.took(taken, node)
        return result

    def _snapshot(self, target: torch.Tensor) -> Node | torch.Tensor | None:
        """What is around a part of some memory that is about to be drawn; None where all of it is."""
        if not is_strided(target) or fills_memory(target):
            return None
        return self.memories.node_of(target) or memory_of(target).clone()

    def _leaf(
        self,
        target: torch.Tensor,
        draw: Draw,
        owners: frozenset[Entry | None],
        home: Home | None,
        before: Node | torch.Tensor | None = None,
    ) -> Node | None:
        if not is_strided(target):
            return None
        if isinstance(before, Node):
            owners = owners | before.owners
        node = Node(Form.of(target), draw, base=before, device=target.device, owners=owners)
        self.memories.remember(target, node, home)
        return node

    def _write(self, func: Any, args: tuple[Any, ...], named: dict[str, Any], targets: list[torch.Tensor]) -> Any:
        entry = self.memories.entry_of(targets[0])
        if entry is not None:
            home = home_of(entry, local_tensor(targets[0]))
            args, named = self._settled((args, named), home)
            entry.calls.append(call_of(func, args))
            return self._into(func, args, named, targets[0])
        refs = self._as_refs((args, named))
        if len(targets) != 1 or not is_strided(targets[0]) or not _any_refs(refs):
            result = func(*args, **named)
            for target in targets:
                cell = self.memories.cell_of(target)
                if cell is not None and len(targets) > 1:
                    cell.node = None
            return result
        before = self.memories.node_of(targets[0])
        if before is None:
            memory = memory_of(targets[0])
            kept = torch.empty_like(memory) if overwrites(func, targets[0]) else memory.clone()
            before = Node(Form.of(memory), func=torch.clone, args=(kept,), order=-1)
            refs = _seen_in(refs, before, targets[0])
        result = func(*args, **named)
        self._record(func, refs, before, targets[0])
        return result

    def _write_each(self, func: Any, args: tuple[Any, ...], named: dict[str, Any], targets: Any) -> Any:
        """One operation on many tensors (`torch._foreach_copy_`): each one's own arguments are settled with it."""
        entries = [self.memories.entry_of(target) for target in targets]
        for target, entry in zip(targets, entries, strict=True):
            if entry is not None:
                entry.calls.append(call_of(func, args))
                home = home_of(entry, local_tensor(target))
                place = next(k for k, other in enumerate(targets) if other is target)
                args = tuple(self._settled_at(arg, targets, place, home) for arg in args)
        return func(*args, **named)

    def _settled_at(self, arg: Any, targets: Any, place: int, home: Home) -> Any:
        if arg is targets or not isinstance(arg, list | tuple) or len(arg) != len(targets):
            return arg
        return [self._settled(value, home) if k == place else value for k, value in enumerate(arg)]

    def _into(self, func: Any, args: tuple[Any, ...], named: dict[str, Any], target: torch.Tensor) -> Any:
        """An in-place operation on the model's own; of a whole tensor, a shard takes its slice."""
        copies = func.overloadpacket.__name__ == "copy_" and is_sharded_type(target)
        if not copies or is_sharded_type(args[1]) or args[1].shape != target.shape:
            return func(*args, **named)
        entry = self.memories.entry_of(target)
        if entry is not None and is_split(target):
            entry.whole.append(call_of(func, args).words)
        part = part_of("target", target)
        for local, whole in part.blocks:
            part.tensor.detach()[local].copy_(args[1][whole])
        return target

    def _compute(self, func: Any, args: tuple[Any, ...], named: dict[str, Any], tensors: list[torch.Tensor]) -> Any:
        known = [
            tensor
            for tensor in tensors
            if self.memories.entry_of(tensor) is not None or self.memories.cell_of(tensor) is not None
        ]
        if known and func.overloadpacket.__name__ in ("new_empty", "empty_like") and is_sharded_type(args[0]):
            args = made_whole(func, args)
        result = func(*args, **named)
        if not known:
            return result
        refs = None
        given = {address(tensor) for tensor in tensors}
        home = self._one_home(known)
        for place, made in enumerate(tree_flatten(result)[0]):
            if isinstance(made, torch.Tensor) and address(made) not in given:
                refs = self._as_refs((args, named)) if refs is None else refs
                if _any_refs(refs) and is_strided(made):
                    self._record(func, refs, None, made, place, home)
                else:
                    self.memories.remember(made, None, home)
        return result

    def _one_home(self, known: list[torch.Tensor]) -> Home | None:
        """The one parameter that tensors were derived from, or the box of it; None of several and of none."""
        homes = [home for home in map(self.memories.home_of, known) if home is not None]
        if len({home.entry for home in homes}) != 1:
            return None
        same = all(home.counted == homes[0].counted for home in homes)
        return homes[0] if same else whole_home(homes[0].entry)

    def _as_refs(self, nest: Any) -> Any:
        def ref(tensor: torch.Tensor) -> Any:
            node = self.memories.node_of(tensor)
            return tensor if node is None else Ref(node, Form.of(tensor))

        return tree_map_only(torch.Tensor, ref, nest)

    def _record(
        self,
        func: Any,
        refs: Any,
        before: Node | None,
        made: torch.Tensor,
        place: int | None = None,
        home: Home | None = None,
    ) -> None:
        args, kwargs = refs
        node = Node(Form.of(made), None, func, args, kwargs, before, place)
        parents = list(node.parents())
        node.owners, node.depth = owners_of(parents), 1 + max((p.depth for p in parents), default=0)
        cell = self.memories.cell_of(made)
        self.memories.remember(made, node if node.depth <= DEEPEST else None, home or (cell.home if cell else None))

    def _settled(self, nest: Any, home: Home) -> Any:
        """Arguments of something that is written into a parameter, made again from its stream where they must be."""

        def settle(tensor: torch.Tensor) -> torch.Tensor:
            node = self.memories.node_of(tensor)
            if node is None or not node.is_foreign_to(home.entry):
                return tensor
            return self.landed(Ref(node, Form.of(tensor)), home)

        return tree_map_only(torch.Tensor, settle, nest)

    def landed(self, ref: Ref, home: Home) -> torch.Tensor:
        """What a tensor would hold, had everything behind it been drawn from a parameter's stream."""

        def fill(draw: Draw, target: torch.Tensor) -> None:
            draw_at(home, draw, target, self.seed)
            home.entry.called(draw, int(target.numel()))

        made = made_again(ref, fill)
        self.elsewhere -= self.rewinder.landed(ref.node)
        return made


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Nothing within is seen by the mode."""
    with _disable_current_modes():
        yield


def _seen_in(refs: Any, before: Node, target: torch.Tensor) -> Any:
    """The target itself, among arguments, as part of what its memory held before."""
    own = address(target)
    return tree_map_only(torch.Tensor, lambda t: Ref(before, Form.of(t)) if address(t) == own else t, refs)


def _any_refs(nest: Any) -> bool:
    return any(isinstance(value, Ref) for value in tree_flatten(nest)[0])
