"""What an inspection returns: findings, one record a layer, one a parameter, and the verdict, all frozen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from initlab.errors import InputError, UntrainableError, unknown
from initlab.reporting import Shown
from initlab.reporting.finding import Finding as Finding

Verdict: TypeAlias = Literal["healthy", "slow", "untrainable", "uncertain"]


@dataclass(frozen=True)
class LayerStats:
    """One operation of the forward pass: a layer with parameters, a normalization, or an activation function.

    Shares are in [0, 1]; None where a number does not apply (no gradient arrived, a batch of one, …).

    Attributes:
        index: position in forward order.
        name: module path, with the function's name where the module does more than one thing.
        kind: the function that was called: linear, conv2d, relu, …
        activation: whether it is an activation function (no parameters of its own).
        parameters: names of the parameters it reads.
        shape: shape of its output.
        batch_axis: the axis of that shape along which samples lie; None where there is none.
        mean, std, second_moment: over every element of the output.
        saturated: share of elements where the activation's slope is under 5% of its largest.
        dead: share of units that are off for every sample (activations that have an off state).
        between: between-sample variance over total second moment: 1 when inputs stay apart, 0 when they are one.
        row_share: variance over samples and positions of each unit, over the total second moment.
        edges, counts: histogram over a fixed-stride subsample of at most 16,384 elements.
        grad_rms: root mean square of the loss gradient with respect to the output.
        weight_rms, weight_grad_rms: of the layer's main weight.
        update_ratio: rms of the very first optimizer step over rms of the main weight.
        duplicated: share of the main weight's units that equal another one in weights and in gradient.
        nonfinite: NaN or infinite elements in the output.
        predicted: (low, middle, high) of the output's root mean square by theory: two standard deviations of one draw
            about what the weights' sizes and the layers before make; None where theory says nothing.
    """

    index: int
    name: str
    kind: str
    activation: bool
    parameters: tuple[str, ...]
    shape: tuple[int, ...]
    batch_axis: int | None
    mean: float
    std: float
    second_moment: float
    saturated: float | None
    dead: float | None
    between: float | None
    row_share: float | None
    edges: tuple[float, ...] = field(repr=False)
    counts: tuple[int, ...] = field(repr=False)
    grad_rms: float | None
    weight_rms: float | None
    weight_grad_rms: float | None
    update_ratio: float | None
    duplicated: float | None
    nonfinite: int
    predicted: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ParameterStats:
    """One parameter: its values, its gradient, and what the first optimizer step does to it.

    Attributes:
        name: dotted name in `named_parameters()`.
        shape: its shape.
        layer: index into `layers` of its first use; None if the forward pass did not use it.
        trainable: whether it requires a gradient.
        rms: root mean square of the values.
        grad_rms: of the gradient; None when no gradient arrived.
        update_ratio: rms of the very first step, no momentum behind it, over `rms` (infinite for zeros that move).
        pace: spectral size of the part of the first step that tells samples apart, over that of the weight: the
            relative change a step makes in what the layer computes. None for unused parameters, and for vectors
            beside matrices.
        gain: predicted first-order decrease of the loss by that part of the step, over the loss.
        units: output units of a weight that multiplies; None for others (embeddings, scales, biases).
        duplicated: share of the units that equal another in weights and gradient.
        distinct: number of distinct units.
        nonfinite: NaN or infinite values.
    """

    name: str
    shape: tuple[int, ...]
    layer: int | None
    trainable: bool
    rms: float
    grad_rms: float | None
    update_ratio: float | None
    pace: float | None
    gain: float | None
    units: int | None
    duplicated: float | None
    distinct: int | None
    nonfinite: int


@dataclass(frozen=True)
class LearningRate:
    """Learning rates, from the loss along the first step.

    Attributes:
        largest_stable: the largest tried rate that lowers the loss, at most 0.1 with Adam and its kin, 1 with SGD (its
            momentum counted); None where none does.
        best: the tried rate that lowers it most; with a probe, the one whose loss is lowest after the real steps.
        smallest_useful: with a probe: the smallest rate whose real steps lower the loss by a tenth of what the best
            one's do.
        tried: (rate, loss after one step of it) by rising rate; infinite where it is not finite.
        probed: with a probe: {rate: loss after each real step}.
        warm_up: with a probe: whether steps after the first few are stable at ten times the rate, so that a warm-up
            pays.
    """

    largest_stable: float | None
    best: float | None
    tried: tuple[tuple[float, float], ...]
    smallest_useful: float | None = None
    probed: dict[float, tuple[float, ...]] = field(default_factory=dict)
    warm_up: bool = False


@dataclass(frozen=True, repr=False)
class Inspection(Shown):
    """What `initlab.inspect` found.

    Attributes:
        verdict: "healthy", "slow", "untrainable", or "uncertain" where none is likely enough: a prediction of how
            training with `optimizer` goes, at `lr` where the user gave one, else at the best rate.
        probability: of "healthy", "slow" and "untrainable"; calibrated on trainings (docs/verdict.md).
        because: the fact that settles the verdict, or the few numbers that moved it most.
        learning_rate: what the loss along the first step tells; None without a line probe.
        findings: most severe first.
        layers: one `LayerStats` an operation, in forward order.
        parameters: one `ParameterStats` a parameter.
        notes: what could not be judged, and what was assumed.
        model: the model's type.
        loss: the loss on the batch; None when it is not finite.
        loss_name: the loss that was used, and whether it was guessed.
        optimizer: the optimizer that the verdict is about, by its name.
        lr: the learning rate that is judged: the user's, else the best guess.
        lr_given: whether it is the user's.
        batch_size: samples in the batch; None where the inputs do not tell.
        passes: {"forward": …, "backward": …}: how many of each the inspection took.
        steps: predicted optimizer steps until the loss has visibly moved, by the size of the first step alone; a
            collapse or symmetry can make the start untrainable all the same.
    """

    verdict: Verdict
    probability: dict[str, float]
    because: tuple[str, ...]
    learning_rate: LearningRate | None
    findings: tuple[Finding, ...]
    layers: tuple[LayerStats, ...]
    parameters: tuple[ParameterStats, ...]
    notes: tuple[str, ...]
    model: str
    loss: float | None
    loss_name: str
    optimizer: str
    lr: float
    lr_given: bool
    batch_size: int | None
    steps: float
    passes: dict[str, int] = field(default_factory=dict)

    def fix(self) -> Any:
        """What to change so that training gets going, and why: found by making changes on a copy and inspecting again.

        Returns:
            A `Fix`: `what`, `why`, `code` that runs as pasted, `plan`, `apply(model)` for what weights can cure,
            `before` and `after` (verdicts), `cured`. The model and the batch of the inspection are used: as they are
            now.

        Raises:
            InputError: the report was loaded or copied, so that its model is not at hand.

        >>> import torch, initlab
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
        >>> _ = torch.nn.init.constant_(model[0].bias, 30.0)
        >>> fix = initlab.inspect(model, torch.randn(64, 8), torch.arange(64) % 3).fix()
        >>> fix.before, fix.after
        ('untrainable', 'healthy')
        >>> print(fix.code)
        import initlab
        initlab.init_(model, {
            '0.bias': 'auto',
        }, example_inputs=inputs, seed=0)
        """
        found = self.__dict__.get("_fix")
        if found is None:
            raise InputError("fix() needs the model and batch of the inspection, which a stored report has not")
        return found()

    def answered_by(self, fix: Callable[[], Any]) -> Inspection:
        """The same report, knowing how a fix is found; what it knows is neither compared nor stored."""
        object.__setattr__(self, "_fix", fix)
        return self

    def within(self, context: Callable[[], AbstractContextManager[Any]]) -> Inspection:
        """The same report of a model that runs inside `context()` alone: called there, once, and for its fix again.

        Findings put their words together when they are read, which may run the model: here they are read.
        """
        for finding in self.findings:
            str(finding.advice)
        answer = self.__dict__["_fix"]

        def fix() -> Any:
            with context():
                return answer()

        return self.answered_by(fix)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_fix"}

    def assert_healthy(self, *, allow: tuple[Verdict, ...] = ("healthy", "slow", "uncertain")) -> None:
        """Raise `UntrainableError` with the findings where training is predicted to fail: one line for a test suite.

        Args:
            allow: the verdicts that pass; `("healthy",)` is the strictest.

        Raises:
            InputError: a word that is no verdict.
            UntrainableError: the verdict is not among `allow`.
        """
        for word in allow:
            if word not in get_args(Verdict):
                raise unknown("verdict", word, get_args(Verdict))
        if self.verdict in allow:
            return
        rate = f"lr {self.lr:g}" if self.lr_given else "any lr"
        likely = f"probability of untrainable {self.probability['untrainable']:.2f}"
        lines = [f"{self.model} is {self.verdict} ({self.optimizer}, {rate}; {likely})"]
        lines += [f"- {finding}" for finding in self.findings if finding.severity != "info"]
        lines += [] if len(lines) > 1 else [f"- {note}" for note in (*self.because, *self.notes)]
        raise UntrainableError("\n".join(lines))
