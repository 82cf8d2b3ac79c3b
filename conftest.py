"""Keras reads its backend when it is imported: tests and doctests take jax unless the environment says."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
