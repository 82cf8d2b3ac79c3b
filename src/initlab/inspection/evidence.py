"""Everything that the findings look at, gathered once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from initlab.inspection.activations import ACTIVATIONS
from initlab.inspection.passes import Pass
from initlab.inspection.recorder import Record
from initlab.inspection.results import LayerStats, ParameterStats
from initlab.inspection.updates import Step
from initlab.inspection.verdict import Outlook, outlook_of


@dataclass(frozen=True)
class Evidence:
    """One inspection's measurements; what several findings derive from them stands here, computed once."""

    model: nn.Module
    seen: Pass
    layers: tuple[LayerStats, ...]
    parameters: tuple[ParameterStats, ...]
    step: Step
    batch: int | None

    @cached_property
    def outlook(self) -> Outlook:
        return outlook_of(self.parameters, self.step, self.seen.loss, self.seen.constant_loss)

    @cached_property
    def matrices(self) -> list[ParameterStats]:
        """Trainable weights of two or more axes that a gradient reached."""
        return [p for p in self.parameters if p.pace is not None]

    @cached_property
    def readout(self) -> Record | None:
        """The last call that multiplies by a weight matrix."""
        shapes = {p.name: p.shape for p in self.parameters}
        for record in reversed(self.seen.records):
            if any(len(shapes.get(name, ())) > 1 for name in record.parameters) and record.input_row_share is not None:
                return record
        return None

    @cached_property
    def nonlinearity(self) -> str | None:
        """The activation function that the model uses most."""
        kinds = [layer.kind for layer in self.layers if layer.activation and layer.kind != "softmax"]
        return max(set(kinds), key=lambda k: (kinds.count(k), k)) if kinds else None

    @property
    def normalised(self) -> bool:
        return any("norm" in layer.kind for layer in self.layers)

    def scheme_for(self, kind: str | None) -> str:
        """The scheme to use around activation `kind`; for a model without activations, one that keeps both passes."""
        activation = ACTIVATIONS.get(kind or "")
        return activation.scheme if activation else "xavier_normal"

    def advice(self, kind: str | None = None) -> str:
        """Which scheme to start from instead."""
        kind = kind or self.nonlinearity
        scheme = self.scheme_for(kind)
        return f"Use {scheme} for the weights ({'made for ' + kind if kind else 'no activation function was seen'})"

    def name(self, index: int | None) -> str:
        return self.layers[index].name if index is not None else "the model"

    def fraction_stuck(self) -> float:
        """Share of the weight matrices' elements that a step changes by less than 1 / NEVER_STEPS of themselves."""
        from initlab.inspection.verdict import NEVER_STEPS

        total = sum(math.prod(p.shape) for p in self.matrices)
        stuck = sum(math.prod(p.shape) for p in self.matrices if (p.pace or 0.0) < 1.0 / NEVER_STEPS)
        return stuck / total if total else 0.0
