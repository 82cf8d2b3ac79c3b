"""Models of other frameworks, each read by its integration, which is loaded when such a model is met."""

from __future__ import annotations

import importlib
from typing import Any

# The package that a model's type comes from: the integration whose `as_module` gives a torch module that computes the
# same. Names, so that nothing is imported unasked and no room below the integrations holds one.
READERS = {"keras": "initlab.integrations.keras"}


def as_module(model: Any) -> Any:
    """A torch module that computes what a model of another framework does; any other model as it is."""
    for kind in type(model).__mro__:
        reader = READERS.get(kind.__module__.partition(".")[0])
        if reader is not None:
            return importlib.import_module(reader).as_module(model)
    return model
