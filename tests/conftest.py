"""What every test shares: one torch thread a process, since the suite runs a process on every core.

Where a test asks for two, the one that waits sleeps: GCC's OpenMP lets it spin, on the core that the other process of
the suite needs, which made 2 processor seconds of one test 42.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

torch.set_num_threads(1)
# Read when Triton is first imported, which any test may do where torch is a build for GPUs.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that may take longest begin first, so that no process of the suite waits for another's last one."""
    items.sort(key=lambda item: max((mark.args[0] for mark in item.iter_markers("timeout")), default=0), reverse=True)


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    """A shell that starts the suite in the background has SIGINT ignored, also by what the tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread_again() -> Iterator[None]:
    """A test may ask for more threads; the next one starts with one again."""
    yield
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
