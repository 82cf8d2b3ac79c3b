"""torch's truncated normal in one draw: as written it draws until every value fits, however often that takes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch

from initlab.planning.named_streams.draws import Draw
from initlab.planning.named_streams.mode import NamedDraws, aside

_LOCK = threading.Lock()
_NAME = "_no_grad_trunc_normal_"  # what torch.nn.init.trunc_normal_ calls, however it was imported


@contextlib.contextmanager
def truncated_draws(mode: NamedDraws) -> Iterator[None]:
    """Within, this thread's `torch.nn.init.trunc_normal_` is one draw; a torch without that function stays as it is."""
    original = getattr(torch.nn.init, _NAME, None)
    if original is None:
        yield
        return
    thread = threading.get_ident()

    def drawn(
        tensor: torch.Tensor, mean: float, std: float, a: float, b: float, generator: torch.Generator | None = None
    ) -> Any:
        if threading.get_ident() != thread or tensor.is_meta or not std > 0:
            return original(tensor, mean, std, a, b, generator)

        def as_torch() -> Any:
            with aside():
                return original(tensor, mean, std, a, b, generator)

        with aside(), torch.no_grad():
            return mode.draw_in_place(tensor, Draw("trunc_normal", (mean, std, a, b)), as_torch)

    with _LOCK:
        setattr(torch.nn.init, _NAME, drawn)
    try:
        yield
    finally:
        with _LOCK:
            setattr(torch.nn.init, _NAME, original)
