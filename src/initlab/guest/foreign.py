"""Models of other frameworks, each read by its integration, which is loaded when such a model is met."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

# The package that a model's type comes from: the integration that inspects such a model. Names, so that nothing is
# imported unasked and no room below the integrations holds one.
READERS = {"keras": "initlab.integrations.keras"}


def framework_of(model: Any) -> str:
    """The framework that a model's type comes from; "" for torch and for anything else."""
    packages = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    return next((package for package in packages if package in READERS), "")


def inspector_of(model: Any) -> Callable[..., Any] | None:
    """What inspects a model of another framework; None for torch and for anything else."""
    framework = framework_of(model)
    inspector: Callable[..., Any] | None = None
    if framework:
        inspector = importlib.import_module(READERS[framework]).inspect
    return inspector
