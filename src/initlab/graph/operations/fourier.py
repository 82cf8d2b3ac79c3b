"""Fourier transforms: what they multiply second moments by hangs on how they are scaled, and is tried on noise."""

from __future__ import annotations

import math

import torch

from initlab.graph.flow import Flow
from initlab.graph.operations.arrange import moved
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation, Recording
from initlab.graph.regions import measured, settled
from initlab.graph.replay import call
from initlab.graph.signals import Signal

LARGEST = 2**24  # numbers on which a transform is tried


def transformed(flow: Flow, operation: Operation) -> Signal:
    """What a transform makes of a signal, as noise shows."""
    found = measured(flow, operation, flow.carried(operation)[0][1], operation.kind, operation.kind)
    return found or brought_back(flow, operation)


def brought_back(flow: Flow, operation: Operation) -> Signal:
    """What an inverse makes, as of noise at all frequencies: those that are left out hold little of a smooth signal."""
    value, base = flow.carried(operation)[0]
    if any(flow.graph.operations[index].kind in FORWARD for index in base.trail):  # what was transformed, brought back
        found = measured(flow, operation, base, "sum", operation.kind)
        if found is not None:
            return found
    base, growth = settled(flow, base), growth_of(flow.graph, operation, value)
    return flow.fresh(operation, None if base.second is None else growth * base.second, 0.0, "sum", operation.kind)


def growth_of(graph: Recording, operation: Operation, value: int) -> float:
    """What a transform multiplies the second moment of noise by; 1 where it cannot be tried.

    Args:
        graph: the recording.
        operation: the transform.
        value: what it transforms.
    """
    given = graph.values[value]
    if not 0 < math.prod(given.shape) <= LARGEST:
        return 1.0
    noise = torch.randn(given.shape, generator=torch.Generator().manual_seed(0), device="cpu", dtype=given.dtype)
    try:
        made = call(operation, lambda read: noise)
    except (RuntimeError, TypeError, ValueError):
        return 1.0
    second = float(made.abs().square().mean()) if isinstance(made, torch.Tensor) else 0.0
    return float(f"{second:.3g}") if second > 0 else 1.0


FORWARD = ("fft_fft", "fft_fft2", "fft_fftn", "fft_rfft", "fft_rfft2", "fft_rfftn")
INVERSE = ("fft_ifft", "fft_ifft2", "fft_ifftn", "fft_irfft", "fft_irfft2", "fft_irfftn")

OPS = (
    Op(FORWARD, transformed, mixes=True),
    Op(INVERSE, brought_back, mixes=True, inverse=True),
    Op(("fft_fftshift", "fft_ifftshift"), moved, keeps="values", mixes=True),
)
