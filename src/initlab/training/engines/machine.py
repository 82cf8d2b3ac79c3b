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


def accelerator() -> tuple[str, int]:
    """The kind of this machine's accelerator as torch names it ("cuda", "mps", "xpu") and how many; ("", 0) of none."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return ("", 0) if found is None else (found.type, torch.accelerator.device_count())


def here(device: str) -> str:
    """The device, or "cpu" where it is not here: for what is done here while an executor's workers train."""
    return device if torch.device(device).type == accelerator()[0] else "cpu"


# Processes that share this machine's free memory with this one, itself included: a worker's fellows.
_sharers = 1


def share_memory(processes: int) -> None:
    """From now on `memory_budget` is this process's part: it is one of `processes` that each hold runs."""
    global _sharers
    _sharers = processes


def memory_budget(device: str = "cpu") -> int:
    """Bytes of memory that are free for this process."""
    if device != "cpu":
        # Apple's devices share the host's memory, and say nothing of it.
        told = getattr(torch.get_device_module(torch.device(device)), "mem_get_info", None)
        if told is not None:
            return int(told(device)[0])
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
