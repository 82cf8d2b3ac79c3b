"""Compiled code runs as it is written while a pass is watched: a compiler hides the pass, or compiles the watching."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """While it is entered, functions that TorchScript or `torch.compile` made run as the Python that they were made of.

    The warning of `torch.compile` about global hooks is not shown. A compiler is not imported unasked.
    """
    with _without_script():
        if "torch._dynamo" not in sys.modules:
            yield
            return
        with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
            warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")
            yield


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """Runs functions of `torch.jit.script` by the Python that they hold for `torch.compile`, where they hold it."""
    kind: Any = torch.jit.ScriptFunction
    compiled = kind.__call__

    def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        written = getattr(function, "_torchdynamo_inline", None)
        return compiled(function, *args, **kwargs) if written is None else written(*args, **kwargs)

    kind.__call__ = run
    try:
        yield
    finally:
        kind.__call__ = compiled
