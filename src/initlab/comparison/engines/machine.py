"""What this machine offers: cores that may be used, memory that is free, and whether processes may be forked."""

from __future__ import annotations

import os
import sys

import torch


def cores() -> int:
    """Cores that this process may use, and no more than the threads torch is allowed."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, torch.get_num_threads()))


def memory_budget(device: str = "cpu") -> int:
    """Bytes of memory that are free."""
    if device != "cpu":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 4 * 2**30


def can_fork() -> bool:
    """Whether worker processes may be forked: on Linux, in a process that holds no CUDA context and is no worker."""
    import multiprocessing

    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return False
    return not torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch ships it untyped
