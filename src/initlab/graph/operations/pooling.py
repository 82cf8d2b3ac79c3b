"""Windows of neighbours into one number, and the way back: pooling, resizing, reading between places."""

from __future__ import annotations

from initlab.graph.flow import Flow
from initlab.graph.operations.arrange import moved
from initlab.graph.operations.op import Op
from initlab.graph.operations.reductions import averaged, reduced
from initlab.graph.recording import Operation
from initlab.graph.regions import measured
from initlab.graph.signals import Signal


def resized(flow: Flow, operation: Operation) -> Signal:
    """Repeated where it takes the nearest neighbour, measured where it takes a mean of several."""
    mode = operation.argument(3, "mode", "nearest")
    signal = flow.carried(operation)[0][1]
    if isinstance(mode, str) and mode.startswith("nearest"):
        return moved(flow, operation)[0]
    return measured(flow, operation, signal, "pool", f"{mode} upsampling") or flow.unsure(operation)


OPS = (
    Op(("avg_pool1d", "avg_pool2d", "avg_pool3d"), reduced, linear=True, pools=True),
    Op(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"), averaged, linear=True, pools=True),
    Op(
        ("max_pool1d", "max_pool2d", "max_pool3d", "lp_pool1d", "lp_pool2d", "adaptive_max_pool1d",
         "adaptive_max_pool2d", "adaptive_max_pool3d", "fractional_max_pool2d", "max_pool2d_with_indices"),
        reduced,
        pools=True,
    ),
    Op(("glu",), reduced),
    Op(("local_response_norm",), reduced, norm=True, mixes=True, features=1),
    Op(("fold",), reduced, linear=True),
    Op(("interpolate",), resized, names=("upsample",), linear=True),
    Op(("grid_sample",), names=("grid_sampler",), places=((1, "grid"),)),
    Op(("upsample_nearest", "upsample_bilinear"), resized, linear=True),
)  # fmt: skip
