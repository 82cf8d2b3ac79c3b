"""Who trains a run: a worker's name, and whether it is still alive."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BEAT_SECONDS = 10.0
LEASE_SECONDS = 120.0


@dataclass(frozen=True)
class Worker:
    """One process that trains runs of a study.

    Args:
        name: unique.
        host: the machine and, in a container, its process namespace: where process ids mean what they mean here.
        pid: process id.
        born: the process's start in clock ticks, so that a reused id is told apart.
    """

    name: str
    host: str
    pid: int
    born: str

    def sign_of_life(self) -> dict[str, Any]:
        """What the worker leaves with its runs every `BEAT_SECONDS`."""
        return {"host": self.host, "pid": self.pid, "born": self.born, "seen": time.time()}


def this_worker() -> Worker:
    """A new worker in this process."""
    return Worker(uuid.uuid4().hex[:16], _host(), os.getpid(), _born(os.getpid()))


def alive(sign: Mapping[str, Any] | None) -> bool:
    """Whether the worker that left this sign still trains.

    On this machine its process is looked for; elsewhere it must have been seen within `LEASE_SECONDS` (the machines'
    clocks must agree to a minute).
    """
    if sign is None or not sign.get("seen"):
        return False
    if sign.get("host") == _host() and _born(int(sign["pid"])) != sign.get("born"):
        return False
    return time.time() - float(sign["seen"]) < LEASE_SECONDS


def _host() -> str:
    parts = [socket.gethostname()]
    for read in (_boot, _namespace):
        try:
            parts.append(read())
        except OSError:
            continue
    return "|".join(parts)


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def _born(pid: int) -> str:
    """When the process began, in clock ticks; '' if there is none. Where that cannot be read, that it exists."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return ""
    except (OSError, IndexError):
        pass
    if os.name == "nt":  # there a signal 0 is Ctrl-C; how long ago the worker was seen then decides
        return "exists"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "exists"
