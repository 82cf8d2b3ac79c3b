"""What only tells of a tensor: its size, its place in memory, its numbers as Python's."""

from __future__ import annotations

from initlab.graph.operations.op import Op

OPS = (
    Op(
        ("size", "dim", "ndimension", "stride", "numel", "nelement", "len", "item", "tolist", "is_contiguous",
         "is_complex", "is_floating_point", "element_size", "storage_offset", "data_ptr", "get_device",
         "set_grad_enabled", "is_tensor", "requires_grad", "equal", "allclose", "index", "format", "repr", "hash",
         "is_same_size"), reads_only=True,
    ),
)  # fmt: skip
