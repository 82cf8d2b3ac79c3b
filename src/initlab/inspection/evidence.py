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
from initlab.inspection.verdict import NEVER_STEPS, Outlook, outlook_of


@dataclass(frozen=True)
class Evidence:
    """One inspection's measurements; what several findings derive from them stands here, computed once."""

    model: nn.Module
    seen: Pass
    layers: tuple[LayerStats, ...]
    parameters: tuple[ParameterStats, ...]
    step: Step
    batch: int | None
    alike: bool

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

    def advice(self, kind: str | None = None, otherwise: str = "") -> str:
        """Which scheme to start from instead; `otherwise` when the weights have that scheme's scale already."""
        kind = kind or self.nonlinearity
        scheme = scheme_for(kind)
        example = self._furthest(scheme)
        if example is None:
            return otherwise or "The scale of the weights is right already: add normalization or skip connections"
        name, now, right = example
        suits = f"made for {kind}" if kind else "no activation function was seen"
        return f"Use {scheme} ({suits}): std {right:.2g} for {name}, now {now:.2g}"

    def _furthest(self, scheme: str) -> tuple[str, float, float] | None:
        """(name, rms, the scheme's std) of the weight furthest from `scheme`; None when most are within a third."""
        from initlab.schemes import Geometry, get_scheme

        found = []
        for p in self.parameters:
            if p.trainable and len(p.shape) > 1 and p.layer is not None and math.isfinite(p.rms):
                right = get_scheme(scheme).std(Geometry.from_shape(p.shape))
                found.append((abs(math.log(max(p.rms, 1e-30) / right)), p.name, p.rms, right))
        off = [entry for entry in found if entry[0] > 0.3]
        if not off or len(off) < 0.3 * len(found):
            return None
        return max(off, key=lambda entry: entry[0])[1:]

    def fraction_stuck(self) -> float:
        """Share of the weight matrices' elements that a step changes by less than 1 / `NEVER_STEPS` of themselves."""
        total = sum(math.prod(p.shape) for p in self.matrices)
        stuck = sum(math.prod(p.shape) for p in self.matrices if (p.pace or 0.0) < 1.0 / NEVER_STEPS[self.step.family])
        return stuck / total if total else 0.0


def scheme_for(kind: str | None) -> str:
    """The scheme to use around activation `kind`; without activations, one that keeps both passes."""
    activation = ACTIVATIONS.get(kind or "")
    return activation.scheme if activation else "xavier_normal"
