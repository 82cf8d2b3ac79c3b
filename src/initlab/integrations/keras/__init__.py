"""Keras 3: the same starts as initializers that a layer takes, prints, saves and loads, and for whole built models."""

from initlab.integrations.keras.api import init_, plan
from initlab.integrations.keras.initializers import Initializer
from initlab.integrations.keras.inspecting import as_module, inspect

__all__ = ["Initializer", "as_module", "init_", "inspect", "plan"]
