"""What this machine offers: cores that may be used, memory that is free or kept."""

from __future__ import annotations

import ctypes
import os

import torch

from initlab.data.untrusted import free_memory


def cores() -> int:
    """Cores that this process may use, and no more than the threads torch is allowed."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, torch.get_num_threads()))


def here(device: str) -> str:
    """The device, or "cpu" where this machine has no GPU: for what is done here while an executor's workers train."""
    return device if device == "cpu" or torch.cuda.is_available() else "cpu"


# Processes that share this machine's free memory with this one, itself included: a worker's fellows.
_sharers = 1


def share_memory(processes: int) -> None:
    """From now on `memory_budget` is this process's part: it is one of `processes` that each hold runs."""
    global _sharers
    _sharers = processes


def memory_budget(device: str = "cpu") -> int:
    """Bytes of memory that are free for this process."""
    if device != "cpu":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory(4 * 2**30) // _sharers


# mallopt's names for the free memory that malloc keeps and for the block that it maps by itself (glibc's malloc.h), and
# the bytes to set them to: the largest that is taken, since older versions of glibc refuse more than 32 MiB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = (1 << 30, 1 << 25)


def keep_freed_memory() -> bool:
    """Make this process keep the memory that it frees; whether its C library can (glibc).

    A step frees and takes the same tensors again. When they go back to the system between, each of their pages is
    cleared and mapped anew: a fifth of the time of a convolutional network's step. For processes of our own only.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(any(mallopt(option, size) for size in KEPT) for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
