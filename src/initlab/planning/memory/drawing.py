"""Draws one parameter into its own memory: in place on the CPU and on GPUs, else block by block through a buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError
from initlab.planning.memory import devices
from initlab.planning.memory.complex_laws import law_of_parts
from initlab.planning.memory.shards import Part, part_of
from initlab.planning.memory.tensors import DTYPES, STAGE_BYTES, host_array, row_blocks
from initlab.sampling import fill
from initlab.sampling.laws import Law
from initlab.sampling.orthogonal import one_blas_thread
from initlab.sampling.request import check_range
from initlab.sampling.threads import share, thread_count

TOGETHER = 1 << 24  # elements of the parameters that are drawn beside one another: an interrupt waits for them
SMALL = 1 << 16  # a parameter of fewer elements is one thread's work whatever its law


@dataclass(frozen=True)
class Job:
    """One parameter to be written."""

    name: str
    tensor: torch.Tensor
    part: Part
    law: Law


def job_of(name: str, tensor: torch.Tensor, law: Law) -> Job:
    """What is to be written into all that this process holds of a tensor; a complex one as its parts side by side.

    Raises:
        InputError: a placement that cannot be written, or a law that the dtype or the shape cannot have.
    """
    return job_for(name, tensor, part_of(name, tensor), law)


def job_for(name: str, tensor: torch.Tensor, part: Part, law: Law) -> Job:
    """`job_of` for one part of what this process holds."""
    if tensor.is_complex():
        law, pair = law_of_parts(law, part.shape), slice(0, 2)
        blocks = tuple(((*local, pair), (*place, pair)) for local, place in part.blocks)
        part = Part(torch.view_as_real(part.tensor.detach()), (*part.shape, 2), blocks)
    try:
        law.check(part.shape)
        check_range(law, DTYPES[part.tensor.dtype])
    except InputError as error:
        raise InputError(f"{name!r}: {error}") from None
    return Job(name, tensor, part, law)


def batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs in order, neighbours together where threads can draw several factors at once, each one thread's work."""
    some: list[Job] = []
    held = 0
    for job in jobs:
        size = job.part.tensor.numel()
        fits = job.part.tensor.device.type == "cpu" and (job.law.needs_whole or size < SMALL)
        if some and (not fits or held + size > TOGETHER):
            yield from _apart(some)
            some, held = [], 0
        if fits:
            some.append(job)
            held += size
        else:
            yield [job]
    yield from _apart(some)


def _apart(jobs: list[Job]) -> Iterator[list[Job]]:
    """One by one where there are not two factors to draw at once."""
    if sum(job.law.needs_whole for job in jobs) > 1:
        yield jobs
    else:
        yield from ([job] for job in jobs)


def write_together(jobs: Sequence[Job], seed: int) -> None:
    """Draw parameters of one of `batches`, by as many threads as there are processors."""

    def work(first: int, last: int) -> None:
        for job in jobs[first:last]:
            write_one(job, seed)

    with one_blas_thread():  # once for all, not anew for each
        share(work, len(jobs), min(thread_count(), len(jobs)))


def write_one(job: Job, seed: int) -> None:
    """Draw one parameter's values into its own memory."""
    part = job.part
    if part.tensor.numel() == 0:
        return
    if part.tensor.device.type == "cpu":
        _draw(host_array(part.tensor), job, seed)
    elif not devices.can_draw(job.law, part.tensor) or not devices.draw(
        part.tensor, part.blocks, job.law, seed, job.name, part.shape
    ):
        stage(part.tensor, job, seed, pin=part.tensor.device.type == "cuda")
    torch.autograd.graph.increment_version(job.tensor)
    if part.tensor is not job.tensor:
        torch.autograd.graph.increment_version(part.tensor)


def _draw(out: np.ndarray[Any, Any], job: Job, seed: int) -> None:
    part, dtype = job.part, DTYPES[job.part.tensor.dtype]
    if part.whole:
        fill(out, job.law, seed=seed, name=job.name, dtype=dtype)
        return
    if job.law.needs_whole and len(part.blocks) > 1:
        whole = _whole(job, seed)
        for local, block in part.blocks:
            out[local] = whole[block]
        return
    for local, block in part.blocks:
        fill(out[local], job.law, seed=seed, name=job.name, dtype=dtype, shape=part.shape, block=block)


def _whole(job: Job, seed: int) -> np.ndarray[Any, Any]:
    """A tensor whose law cannot be drawn block by block, made whole; it lives only while this one is written."""
    whole = host_array(torch.empty(job.part.shape, dtype=job.part.tensor.dtype, device="cpu"))
    fill(whole, job.law, seed=seed, name=job.name, dtype=DTYPES[job.part.tensor.dtype])
    return whole


def stage(target: torch.Tensor, job: Job, seed: int, *, pin: bool, limit: int = STAGE_BYTES) -> None:
    """Draw on the CPU and copy to another device, at most `limit` bytes at a time through two (pinned) buffers."""
    whole = _whole(job, seed) if job.law.needs_whole else None
    item, kind = target.element_size(), DTYPES[target.dtype]
    room = max(1, limit // 2 // item)
    buffers = [
        torch.empty(min(room, target.numel()), dtype=target.dtype, device="cpu", pin_memory=pin) for _ in range(2)
    ]
    events: list[Any] = [None, None]
    turn = 0
    for local, block in job.part.blocks:
        extent = [cut.stop - cut.start for cut in local]
        for inner in row_blocks(extent, item, room * item):
            sizes = [cut.stop - cut.start for cut in inner]
            if events[turn] is not None:
                events[turn].synchronize()
            piece = buffers[turn][: int(np.prod(sizes, dtype=np.int64))].view(sizes)
            place = _shift(block, inner)
            out = host_array(piece)
            if whole is not None:
                out[...] = whole[place]
            else:
                fill(out, job.law, seed=seed, name=job.name, dtype=kind, shape=job.part.shape, block=place)
            target.detach()[_shift(local, inner)].copy_(piece, non_blocking=pin)
            events[turn] = _event(target) if pin else None
            turn = 1 - turn
    for event in events:
        if event is not None:
            event.synchronize()


def _event(target: torch.Tensor) -> Any:
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    event.record(torch.cuda.current_stream(target.device))
    return event


def _shift(outer: tuple[slice, ...], inner: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
