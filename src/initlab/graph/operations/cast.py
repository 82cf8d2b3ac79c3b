"""The same numbers in the same place: another dtype, another device, a copy; dropout, which evaluation skips."""

from __future__ import annotations

from initlab.graph.operations.arrange import same
from initlab.graph.operations.op import Op

OPS = (
    Op(("to", "float", "half", "bfloat16", "double", "type", "type_as"), same, keeps="order", skipped=True),
    Op(
        ("contiguous", "clone", "detach", "data", "cuda", "cpu", "alias_copy", "as_subclass", "identity"), same,
        keeps="order",
    ),
    Op(
        ("dropout",), same,
        names=("alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"),
        keeps="order", skipped=True,
    ),
    Op(("real",), same, linear=True),
    Op(("imag",)),
    Op(("checkpoint",), same),
)  # fmt: skip
