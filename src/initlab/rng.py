"""Every global random state: saved, seeded, compared and put back in one place.

What is not loaded has drawn nothing, so numpy and PyTorch are looked up among the loaded modules: importing this file
imports neither.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RandomStates:
    """The states of every global generator at one moment.

    Args:
        python: of the `random` module.
        numpy: of numpy's global `RandomState`; None where numpy is not loaded.
        torch: device -> state: "cpu", each device of CUDA and its like once that is initialised, "mps" if there is one.
    """

    python: Any
    numpy: Any
    torch: dict[str, Any]

    def same_as(self, other: RandomStates) -> bool:
        """Whether nothing was drawn between the two."""
        return bool(_plain((self.python, self.numpy, self.torch)) == _plain((other.python, other.numpy, other.torch)))


ALONE = threading.RLock()  # held by the one thread that changes, and puts back, what all threads share
_WITHIN = threading.local()  # whether this thread is inside `random_states_kept_once`


@contextlib.contextmanager
def random_states_kept(seed: int | None = None, device: str = "cpu") -> Iterator[None]:
    """Whatever is drawn or seeded inside, every global generator stands afterwards where it stood.

    One thread at a time is inside: the generators are the process's own, and another's draws would move them.

    Args:
        seed: where the generators start inside; None leaves them as they are.
        device: one to initialise first, so that its generator is kept and seeded although nothing ran there yet.

    >>> random.seed(1)
    >>> with random_states_kept(seed=0):
    ...     inside = random.random()
    >>> random.random() == random.Random(1).random(), inside == random.Random(0).random()
    (True, True)
    """
    if device.startswith("cuda"):
        sys.modules["torch"].cuda.init()
    with ALONE:
        before = random_states()
        try:
            if seed is not None:
                seed_random_states(seed)
            yield
        finally:
            set_random_states(before)


@contextlib.contextmanager
def random_states_kept_once() -> Iterator[None]:
    """`random_states_kept` for work of many small parts: nested in itself, the outermost alone saves and puts back.

    Both take 0.1 ms with numpy's state, far more than a function of a few numbers takes.
    """
    if getattr(_WITHIN, "once", False):
        yield
        return
    with random_states_kept():
        _WITHIN.once = True
        try:
            yield
        finally:
            _WITHIN.once = False


def random_states() -> RandomStates:
    """The states of all global generators now."""
    numpy = sys.modules.get("numpy")
    return RandomStates(
        random.getstate(),
        None if numpy is None else numpy.random.get_state(legacy=False),
        {device: generator.get_state() for device, generator in _generators().items()},
    )


def set_random_states(states: RandomStates) -> None:
    """Put `random_states()` back; a generator that was not there then is left alone."""
    random.setstate(states.python)
    if states.numpy is not None:
        sys.modules["numpy"].random.set_state(states.numpy)
    for device, generator in _generators().items():
        if device in states.torch:
            generator.set_state(states.torch[device])


def seed_random_states(seed: int) -> None:
    """Start every global generator from `seed`, in [0, 2^64); numpy takes its lowest 32 bits."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    for generator in _generators().values():
        generator.manual_seed(seed)


def accelerators() -> tuple[str, ...]:
    """Kinds of devices whose module in torch is like `torch.cuda`, with a generator for each device."""
    return ("cuda", "xpu", sys.modules["torch"]._C._get_privateuse1_backend_name())


def _generators() -> dict[str, Any]:
    """PyTorch's global generators by device."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "default_generator"):  # it may be half imported
        return {}
    found = {"cpu": torch.default_generator}
    for kind in accelerators():
        module = getattr(torch, kind, None)
        if module is not None and module.is_initialized():
            found |= {f"{kind}:{index}": own for index, own in enumerate(module.default_generators)}
    if torch.backends.mps.is_available():
        found["mps"] = torch.mps._get_default_mps_generator()
    return found


def _plain(state: Any) -> Any:
    """A state as something that compares by value: arrays and tensors as bytes."""
    if isinstance(state, dict):
        return {key: _plain(part) for key, part in state.items()}
    if isinstance(state, tuple | list):
        return [_plain(part) for part in state]
    if type(state).__name__ == "Tensor":
        state = state.numpy()
    return state.tobytes() if hasattr(state, "tobytes") else state
