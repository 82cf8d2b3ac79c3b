"""Keras 3: the same starts as initializers that a layer takes, prints, saves and loads, and for whole built models."""

from initlab.integrations.keras.api import init_, plan
from initlab.integrations.keras.initializers import Initializer

__all__ = ["Initializer", "init_", "plan"]
