"""A twin is inspected as any torch module is; inputs, targets and losses come as the twin's framework has them."""

from __future__ import annotations

from typing import Any

from initlab.inspection import Inspection, inspect
from initlab.integrations.arrays import tensors
from initlab.integrations.twin import Twin
from initlab.training.losses import classes_last


def inspect_twin(twin: Twin, inputs: Any, targets: Any, loss: Any, given: dict[str, Any]) -> Inspection:
    """What `initlab.inspect` says of a twin; a loss by name finds the classes on the last axis.

    Args:
        twin: the model.
        inputs: arrays of the framework, in whatever holds them.
        targets: as inputs.
        loss: a name, or a function of torch tensors.
        given: the other arguments of `initlab.inspect`.
    """
    return inspect(twin, tensors(inputs), tensors(targets), classes_last(loss), **given)
