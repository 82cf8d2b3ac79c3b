"""All that is known of each operation: a record in its family's file, joined here. A new operation is one record."""

from __future__ import annotations

from initlab.graph.operations import (
    arithmetic,
    arrange,
    attention,
    cast,
    choosing,
    convolutions,
    dropping,
    fourier,
    lookups,
    noise,
    norms,
    pieces,
    pointwise,
    pooling,
    products,
    queries,
    recurrent,
    reductions,
    writing,
)
from initlab.graph.operations.op import Op, Table

FAMILIES = (
    arrange, cast, pieces, writing, pointwise, choosing, arithmetic, norms, pooling, reductions, products, convolutions,
    lookups, recurrent, attention, noise, dropping, queries, fourier,
)  # fmt: skip
TABLE = Table(op for family in FAMILIES for op in family.OPS)

__all__ = ["FAMILIES", "TABLE", "Op", "Table"]
