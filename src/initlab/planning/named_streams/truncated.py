"""torch's truncated normal in one draw: as written it draws until every value fits, however often that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from initlab.planning.named_streams.active import active
from initlab.planning.named_streams.draws import Draw
from initlab.planning.named_streams.mode import aside
from initlab.shared import Shared

_NAME = "_no_grad_trunc_normal_"  # what torch.nn.init.trunc_normal_ calls, however it was imported


def _patch() -> Callable[[], object]:
    """Stand in for torch's function; a torch without it stays as it is, and so do draws of threads in no block."""
    original = getattr(torch.nn.init, _NAME, None)
    if original is None:
        return lambda: None

    def drawn(
        tensor: torch.Tensor, mean: float, std: float, a: float, b: float, generator: torch.Generator | None = None
    ) -> Any:
        mode = active()
        if mode is None or tensor.is_meta or not std > 0:
            return original(tensor, mean, std, a, b, generator)

        def as_torch() -> Any:
            with aside():
                return original(tensor, mean, std, a, b, generator)

        with aside(), torch.no_grad():
            return mode.draw_in_place(tensor, Draw("trunc_normal", (mean, std, a, b)), as_torch)

    setattr(torch.nn.init, _NAME, drawn)
    return lambda: setattr(torch.nn.init, _NAME, original)


# Within, `torch.nn.init.trunc_normal_` is one draw for every thread that is in a block of `streams`.
truncated_draws = Shared(_patch).held
