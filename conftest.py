"""What every test shares: Keras' backend, how jax compiles, which files are left alone without their framework."""

from __future__ import annotations

import importlib.util
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # `make test` runs Keras' tests once more on jax
# XLA compiles each small operation of jax by itself: most of these tests' time, and halved so.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


def _installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


collect_ignore = (
    [] if _installed("triton") else [f"src/initlab/sampling/triton_{part}.py" for part in ("arithmetic", "kernels")]
)
# They import Lightning and transformers, seconds in every process, and hold no doctest.
collect_ignore += ["src/initlab/callbacks/lightning.py", "src/initlab/callbacks/hugging_face.py"]
collect_ignore_glob = []
if not _installed("keras", "jax"):
    collect_ignore_glob += [
        "src/initlab/integrations/keras/*",
        "tests/integrations/*keras*",
        "tests/integrations/*three*",
    ]
if not _installed("jax", "flax", "equinox"):
    collect_ignore_glob += ["src/initlab/integrations/jax/*", "tests/integrations/*jax*"]
if collect_ignore_glob:
    print("keras, jax, flax or equinox is not installed: tests of the integrations that need it are left out")
