"""Compiled modules run as they are written while a pass is watched: a compiler would compile the watching too."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """While it is entered, what `torch.compile` made runs eagerly, and its warning about global hooks is not shown.

    Does nothing unless something has been compiled, so that the compiler is not imported unasked.
    """
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
        warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")
        yield
