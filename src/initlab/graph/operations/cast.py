"""The same numbers in the same place: another dtype, another device, a copy."""

from __future__ import annotations

from initlab.graph.operations.arrange import lessened, same
from initlab.graph.operations.op import Op

OPS = (
    Op(("float", "half", "bfloat16", "double", "type"), same, keeps="order", skipped=True),
    Op(("to", "type_as"), same, keeps="order", skipped=True, shaped_like=(1, "other")),
    Op(
        ("contiguous", "clone", "detach", "data", "cuda", "cpu", "alias_copy", "as_subclass", "identity"), same,
        keeps="order",
    ),
    Op(("real",), lessened, linear=True),
    Op(("imag",)),
    Op(("checkpoint",), same),
)  # fmt: skip
