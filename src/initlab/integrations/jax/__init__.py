"""JAX: the same starts behind `jax.nn.initializers`' interface, and for whole pytrees of parameters."""

from initlab.integrations.jax.api import init, plan
from initlab.integrations.jax.initializers import initializer

__all__ = ["init", "initializer", "plan"]
