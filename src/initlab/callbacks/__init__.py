"""initlab inside training loops: callbacks for Lightning and Hugging Face's Trainer, loggers for what they found.

`InitCheck` (Lightning) and `TrainerInitCheck` (Hugging Face) inspect the model on its first training batch, and record
statistics of every layer for the first steps. `to_tensorboard` and `to_wandb` write an inspection or a comparison.
Each of the libraries is imported when its name is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from initlab.callbacks.checking import InitWarning as InitWarning
    from initlab.callbacks.hugging_face import TrainerInitCheck as TrainerInitCheck
    from initlab.callbacks.lightning import InitCheck as InitCheck
    from initlab.callbacks.loggers import to_tensorboard as to_tensorboard
    from initlab.callbacks.loggers import to_wandb as to_wandb

_HOMES = {
    "InitCheck": "lightning",
    "InitWarning": "checking",
    "TrainerInitCheck": "hugging_face",
    "to_tensorboard": "loggers",
    "to_wandb": "loggers",
}
__all__ = ["InitCheck", "InitWarning", "TrainerInitCheck", "to_tensorboard", "to_wandb"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # lazy: each home imports a library that is an extra
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
