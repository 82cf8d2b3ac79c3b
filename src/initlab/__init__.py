"""initlab gets a neural network right before its first training step: plan, init_, inspect, fit, compare, reproduce."""

from __future__ import annotations

from typing import Any

import lazy_loader

__version__ = "0.1.0"

# The public names stand in __init__.pyi; each is loaded on first use, so that `import initlab` stays light.
_load, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted([*__all__, "fit"])


def __getattr__(name: str) -> Any:
    return _load("fitting" if name == "fit" else name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
