"""`streams`: a model's own start, drawn from its parameters' named streams."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError, seed_number
from initlab.guest.check import dtype_name
from initlab.planning.memory.fitted import fit_law
from initlab.planning.memory.partitions import is_partitioned
from initlab.planning.memory.samples import values_of
from initlab.planning.memory.shards import is_split, local_tensor, part_of, refuse_gathered
from initlab.planning.named_streams.active import entered, refuse_nesting
from initlab.planning.named_streams.history import ASSIGNED, cuts_of, overwritten, redrawn, turns_of
from initlab.planning.named_streams.homes import Entry, whole_home
from initlab.planning.named_streams.log import Status, StreamLog, StreamRecord
from initlab.planning.named_streams.mode import NamedDraws
from initlab.planning.named_streams.tape import Form, Ref
from initlab.planning.named_streams.truncated import truncated_draws
from initlab.planning.parameters.walk import Slot, walk
from initlab.planning.writing.prefixes import check_prefix, prefixed


@contextlib.contextmanager
def streams(model: nn.Module, seed: int = 0, *, prefix: str = "") -> Iterator[StreamLog]:
    """Within the block, every random draw that ends in a parameter or buffer of `model` comes from its own stream.

    A draw's values are a function of (stream version, seed, the parameter's canonical name, which draw of it this is,
    its global shape, the law) and of nothing else: not of the order, the other layers, the device or the shards. That
    holds for `torch.nn.init`, for the in-place draws of a tensor or a view of it (`normal_`, `uniform_`, …), and for
    tensors that are drawn first and then copied or assigned (`p.data.copy_(torch.randn(…) * s)`): what was computed on
    the way is computed again from the parameter's stream. Everything that is not random works as written. torch's
    generator does not move for the model's draws; other draws pass through it and are counted.

    Args:
        model: the model whose start is drawn within the block; DTensor parameters are drawn shard by shard. A model on
            the meta device needs `to_empty` first, or within.
        seed: an integer in [0, 2^64).
        prefix: what stands before every name, as where the model is a stage of a larger one ("layers.4").

    Yields:
        A `StreamLog`, filled when the block ends.

    Raises:
        InputError: a bad argument; a model whose parameters FSDP has gathered; one block inside another.

    >>> import torch, initlab
    >>> net = torch.nn.Linear(64, 32)
    >>> with initlab.streams(net, seed=1) as log:
    ...     net.reset_parameters()
    >>> log["weight"].calls
    ('uniform(-0.125, 0.125)',)
    """
    number = seed_number(seed)
    check_prefix(prefix)
    found = walk(model)
    refuse_gathered(found.modules.items())
    away = next((slot.name for slot in found.parameters if is_partitioned(slot.tensor)), None)
    if away is not None:
        how = "enter within deepspeed.zero.GatheredParameters, or use init_"
        raise InputError(f"{away!r} is partitioned by ZeRO-3 and is not here: {how}")

    refuse_nesting()
    log = StreamLog(number, type(model).__name__)
    entries = [_entry(slot, prefix) for slot in found.parameters]
    entries += [_entry(slot, prefix, buffer=True) for slot in found.buffers]
    mode = NamedDraws(entries, number)
    with entered(mode):
        with truncated_draws(), mode:
            yield log
        final = _settle(model, mode, entries, prefix)
        log.fill(_records(final), mode.elsewhere, _notes(final))


def _entry(slot: Slot, prefix: str, buffer: bool = False) -> Entry:
    return Entry(prefixed(prefix, slot.name), slot.tensor, part_of(slot.name, slot.tensor), buffer)


def _settle(model: nn.Module, mode: NamedDraws, before: list[Entry], prefix: str) -> list[Entry]:
    """The entries of the model as it now is; a tensor that was drawn first and assigned then is made again here."""
    known = {entry.name: entry for entry in before}
    found, entries = walk(model), []
    for slot, buffer in [*((s, False) for s in found.parameters), *((s, True) for s in found.buffers)]:
        entry = _entry(slot, prefix, buffer)
        same = mode.memories.entry_of(slot.tensor)
        if same is not None:
            entries.append(same if same.name == entry.name else entry)
            continue
        old = known.get(entry.name)
        if old is not None:
            entry.calls, entry.drawn = old.calls, old.drawn
            entry.draws, entry.elements = old.draws, old.elements
        _assigned(entry, mode)
        entries.append(entry)
    return entries


def _assigned(entry: Entry, mode: NamedDraws) -> None:
    local = local_tensor(entry.tensor)
    node = mode.memories.node_of(local)
    entry.calls.append(ASSIGNED)
    if node is None or not node.is_foreign_to(entry):
        return
    made = mode.landed(Ref(node, Form.of(local)), whole_home(entry))
    with torch.no_grad():
        local.detach().copy_(made)


def _records(entries: list[Entry]) -> Iterator[StreamRecord]:
    for entry in entries:
        if entry.buffer and not entry.elements:
            continue
        fitted = fit_law(_finite(entry.tensor))
        turns = turns_of(entry.calls)
        status: Status = "drawn" if entry.elements else "written" if entry.calls else "untouched"
        yield StreamRecord(
            entry.name, entry.part.shape, dtype_name(entry.tensor.dtype), status,
            tuple(turn.words for turn in turns), entry.draws,
            fitted.describe() if fitted.count else "", fitted.mean if fitted.count else math.nan,
            fitted.std if fitted.count else math.nan, entry.elements * entry.tensor.element_size(),
            tuple(entry.whole), entry.buffer, overwritten(turns), redrawn(turns), cuts_of(turns),
        )  # fmt: skip


def _finite(tensor: torch.Tensor) -> Any:
    values = values_of(tensor)
    return values[abs(values) < math.inf]


def _notes(entries: list[Entry]) -> Iterator[str]:
    missed = [entry.name for entry in entries if not entry.calls and not entry.buffer]
    if missed:
        yield f"{len(missed)} parameters were not touched, {missed[0]} first: they hold what they held before"
    whole = [entry.name for entry in entries if entry.whole and is_split(entry.tensor)]
    if whole:
        yield f"{len(whole)} sharded parameters were made whole on each process, {whole[0]} first: not elementwise"
