"""JAX: the same starts behind `jax.nn.initializers`' interface, and for whole pytrees of parameters."""

from initlab.integrations.jax.api import init, plan
from initlab.integrations.jax.initializers import initializer
from initlab.integrations.jax.inspecting import as_module, inspect

__all__ = ["as_module", "init", "initializer", "inspect", "plan"]
