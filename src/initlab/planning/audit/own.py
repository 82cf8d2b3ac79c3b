"""What a model itself says of its start: what its own start function gives, and how it runs on inputs of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import nn

from initlab.errors import InitlabError
from initlab.graph import SignalGraph, record
from initlab.planning.named_streams.api import streams
from initlab.planning.named_streams.log import StreamRecord
from initlab.planning.named_streams.reinit import own_starts

LARGEST = 2**27  # elements of all parameters beyond which no copy is made


def own_start(model: nn.Module) -> Mapping[str, StreamRecord]:
    """What a model's own `init_weights` or `_init_weights` does to each parameter, tried on a copy; empty without one.

    What the user's code raises there says nothing of the start that the model has.
    """
    if sum(parameter.numel() for parameter in model.parameters()) > LARGEST:
        return {}
    try:
        twin = copy.deepcopy(model)
        with streams(twin) as log:
            if not own_starts(twin):
                return {}
    except Exception:  # the user's own code, on a copy
        return {}
    return {record.name: record for record in log.records}


def own_recording(model: nn.Module) -> SignalGraph | None:
    """A recording on the inputs that a model carries for the purpose, as Hugging Face's do; None where it has none."""
    inputs = getattr(model, "dummy_inputs", None)
    if inputs is None:
        return None
    try:
        return record(model, dict(inputs))
    except (InitlabError, TypeError, ValueError):
        return None
