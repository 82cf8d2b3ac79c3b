"""Models of other frameworks, each read by its integration, which is loaded when such a model is met."""

from __future__ import annotations

import importlib
from typing import Any

# The package that a model's type comes from: the integration whose `as_module` gives a torch module that computes the
# same. Names, so that nothing is imported unasked and no room below the integrations holds one.
READERS = {"keras": "initlab.integrations.keras"}


def framework_of(model: Any) -> str:
    """The framework that a model's type comes from; "" for torch and for anything else."""
    packages = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    return next((package for package in packages if package in READERS), "")


def as_module(model: Any) -> Any:
    """A torch module that computes what a model of another framework does; any other model as it is."""
    framework = framework_of(model)
    return importlib.import_module(READERS[framework]).as_module(model) if framework else model
