"""Everything that the findings look at, gathered once."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from initlab.data.pairs import target_key
from initlab.errors import InputError
from initlab.graph.operations import TABLE
from initlab.guest.doubles import doubled
from initlab.inspection.answer import Answer, as_compared
from initlab.inspection.line import Line
from initlab.inspection.optimizers import Step
from initlab.inspection.outlook import Outlook, outlook_of
from initlab.inspection.passes import Pass, Problem
from initlab.inspection.recorder import Record
from initlab.inspection.results import LayerStats, LearningRate, ParameterStats
from initlab.planning import Plan, plan

# Directions in which samples differ at the last layer, above which merged layers are bypassed; set on starts of
# small networks that were trained, and on nothing else.
BYPASS_RANK = 2.5
AJAR = 0.01  # rms of a gate under which it hides what lies behind it
SMALL_TARGETS = 0.01  # rms of targets below which they are not standardized


@dataclass(frozen=True)
class Evidence:
    """One inspection's measurements; what several findings derive from them stands here, computed once.

    `inputs` are the batch as `plan` takes it: positional arguments in a tuple, or keyword arguments in a dict;
    `problem` is what was watched; `line` is the loss along the first step, None where it was not asked for or cannot
    be taken; `window` is what that tells of learning rates; `read` is what was said when the batch was read; `computed`
    is what was computed of it once (`initlab.graph.once`).
    """

    model: nn.Module
    inputs: Any
    seen: Pass
    layers: tuple[LayerStats, ...]
    parameters: tuple[ParameterStats, ...]
    step: Step
    batch: int | None
    alike: bool
    problem: Problem = field(repr=False)
    line: Line | None = None
    window: LearningRate | None = None
    read: tuple[str, ...] = ()
    computed: dict[object, object] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def outlook(self) -> Outlook:
        return outlook_of(self.parameters, self.step, self.seen.loss, self.seen.constant_loss)

    @cached_property
    def plan(self) -> Plan | None:
        """What `plan` says of this model and batch, made when advice first asks; None where it cannot be planned."""
        try:
            return plan(self.model, self.inputs)
        except InputError:
            return None

    @cached_property
    def own_targets(self) -> Any:
        """The targets: those given, or those among the inputs of a model that computes its own loss; None for none."""
        given = self.seen.answer.targets
        key = target_key(self.inputs) if given is None and isinstance(self.inputs, dict) else None
        return given if key is None else self.inputs[key]

    @cached_property
    def compared(self) -> Answer:
        """The output beside the targets as they are compared, by a model itself or within a sum of losses too."""
        answer = self.seen.answer
        if self.seen.own_loss and isinstance(self.own_targets, Tensor):
            return as_compared(answer, self.own_targets, self.seen.loss)
        return replace(answer, loss=self.seen.pulled) if self.seen.pulled else answer

    @property
    def values(self) -> dict[str, nn.Parameter]:
        """The parameters themselves, by name."""
        return dict(self.model.named_parameters())

    def written(self) -> tuple[tuple[int, int], ...]:
        """Where each parameter lies now and how often it was written: what tells whether it was written since."""
        return tuple((p.data_ptr(), p._version) for p in self.model.parameters() if not p.is_inference())

    @cached_property
    def matrices(self) -> list[ParameterStats]:
        """Trainable weights of two or more axes that a gradient reached; vectors where a model has no others."""
        return [p for p in self.parameters if p.pace is not None]

    @cached_property
    def readout(self) -> Record | None:
        """The last call that multiplies by a weight matrix."""
        shapes = {p.name: p.shape for p in self.parameters}
        for record in reversed(self.seen.records):
            if any(len(shapes.get(name, ())) > 1 for name in record.parameters) and record.input_row_share is not None:
                return record
        return None

    @property
    def readout_parameters(self) -> tuple[str, ...]:
        """The parameters of that call."""
        return () if self.readout is None else self.readout.parameters

    @cached_property
    def biases(self) -> frozenset[str]:
        """What is added to a signal, by the call that reads it first; by its name where that call does not tell."""
        matrices = {p.name for p in self.parameters if len(p.shape) > 1}
        return frozenset(p.name for p in self.parameters if self._is_bias(p, matrices))

    def _is_bias(self, p: ParameterStats, matrices: Set[str]) -> bool:
        record = None if p.layer is None else self.seen.records[p.layer]
        if record is not None and record.norm:
            return p.name != record.scale
        if record is not None and TABLE.named(record.kind).combines == "sum":
            return True
        # Beside a matrix: of a layer, recurrent ones too.
        if record is not None and len(p.shape) == 1 and not matrices.isdisjoint(record.parameters):
            return True
        return p.name.endswith("bias")

    @cached_property
    def nonlinearity(self) -> str | None:
        """The activation function that the model uses most."""
        kinds = [layer.kind for layer in self.layers if layer.activation and layer.kind != "softmax"]
        return max(set(kinds), key=lambda k: (kinds.count(k), k)) if kinds else None

    @property
    def normalised(self) -> bool:
        return any(TABLE.named(layer.kind).norm for layer in self.layers)

    @property
    def far_targets(self) -> bool:
        """Whether most of the loss is the distance between the means of output and targets, by what the targets are:
        they lie farther from zero than the output, or are tiny. Else the output is what lies far.
        """
        answer = self.seen.answer
        if self.seen.offset <= 0.9 * self.seen.loss or answer.real_targets is None:
            return False
        targets, output = (float(doubled(t).mean(0).square().mean()) for t in (answer.real_targets, answer.output))
        return targets > output or float(doubled(answer.real_targets).square().mean()) < SMALL_TARGETS**2

    @cached_property
    def bypassed(self) -> bool:
        """Whether samples differ in several directions where the output is read: signals went round merged layers."""
        directions = self.readout.input_rank if self.readout is not None else None
        return directions is not None and directions > BYPASS_RANK

    @cached_property
    def opening(self) -> bool:
        """Whether the read-out or a gate is zero and moves with the first step: what it hides is told only after that.

        Adam and its kin take that first step at full size; plain gradient descent pays for a faint signal twice.
        """
        return self.step.sign_like and bool(self.closed)

    @cached_property
    def ajar(self) -> bool:
        """Whether gates begin so small that the first step moves them by more than themselves: LayerScale at 1e-5."""
        gates = (p for p in self.parameters if p.trainable and len(p.shape) < 2 and p.name not in self.biases)
        return self.step.sign_like and any(0 < p.rms < AJAR and (p.update_ratio or 0.0) > 1 for p in gates)

    @cached_property
    def closed(self) -> list[ParameterStats]:
        """Weights and gates, not biases, that are zero and that the first step moves."""
        own = [p for p in self.parameters if p.name not in self.biases]
        return [p for p in own if p.rms == 0 and (p.grad_rms or 0.0) > 0 and math.isfinite(p.grad_rms or 0.0)]
