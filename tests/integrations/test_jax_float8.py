"""float8 leaves of a tree: drawn in float32 under their name, and rounded once."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from initlab.integrations import jax as ij

X = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)


def _apply(tree, x):  # type: ignore[no-untyped-def]
    return jnp.maximum(x @ tree["first"]["kernel"].astype(x.dtype), 0) @ tree["last"]["kernel"].astype(x.dtype)


def _tree(dtype):  # type: ignore[no-untyped-def]
    return {"first": {"kernel": jnp.zeros((16, 32), dtype)}, "last": {"kernel": jnp.zeros((32, 5))}}


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, jnp.float8_e5m2])
@pytest.mark.parametrize("policy", ["he_normal", "auto"])
def test_a_float8_leaf_is_the_float32_value_rounded_once(dtype, policy) -> None:  # type: ignore[no-untyped-def]
    given = {} if policy == "he_normal" else {"apply": _apply, "example_inputs": X}
    made, whole = (ij.init(_tree(kind), policy, **given)["first"]["kernel"] for kind in (dtype, jnp.float32))
    assert made.dtype == dtype
    assert bool((made == whole.astype(dtype)).all())
    assert float(made.astype(jnp.float32).std()) > 0.05
    assert "first.weight" in {entry.name for entry in ij.plan(_tree(dtype), policy, **given).entries}
