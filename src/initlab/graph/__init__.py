"""HOW SIGNALS FLOW: a forward pass recorded as a SignalGraph; fans from layer geometry; one record an operation."""

from initlab.graph.geometry import ParameterInfo, geometry_of
from initlab.graph.record import record, run_under
from initlab.graph.recording import Operation, Value
from initlab.graph.signal_graph import SignalGraph
from initlab.graph.uses import Feed, LayerCall, Use

__all__ = [
    "Feed",
    "LayerCall",
    "Operation",
    "ParameterInfo",
    "SignalGraph",
    "Use",
    "Value",
    "geometry_of",
    "record",
    "run_under",
]
