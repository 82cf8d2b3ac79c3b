"""`inspect`: one forward and one backward pass on a batch, then the findings and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import nn

from initlab.errors import argued, check_flags
from initlab.guest.check import check_materialised, check_whole
from initlab.guest.foreign import inspector_of
from initlab.guest.tally import tallied
from initlab.inspection.findings import findings_of
from initlab.inspection.fix import fix_of
from initlab.inspection.gathering import gathered
from initlab.inspection.inputs import probe_steps
from initlab.inspection.notes import notes_of
from initlab.inspection.optimizers import step_of
from initlab.inspection.results import Inspection
from initlab.inspection.verdict import aligned, judged


@argued
def inspect(
    model: nn.Module,
    inputs: Any,
    targets: Any = None,
    loss: Callable[..., Any] | str | None = None,
    *,
    optimizer: Any = "adamw",
    lr: float | None = None,
    line_probe: bool = True,
    probe: int = 0,
) -> Inspection:
    """How signals and gradients travel through `model` at step zero, what is wrong, and whether it will train.

    One forward and one backward pass on a batch, in training mode, and five or six forward passes along the first step
    of the optimizer; more where causes of a bad start are tried, and up to 40 real steps on a copy of the weights where
    that leaves the verdict open (`report.passes` says how many). Every call that reads a parameter and every activation
    function is a layer, wherever it stands in the model's code. Nothing of the model is changed: parameters, `.grad`,
    buffers, modes, hooks and random states are as before.

    Args:
        model: any module whose forward pass runs on `inputs`; a built Keras model (torch and jax backends) is read as a
            module that computes the same. For a jax function see `initlab.integrations.jax.inspect`.
        inputs: a batch as training would see it: a tensor, array or data frame; a tuple of positional or a mapping of
            keyword arguments, such as Hugging Face's batches, with their labels; (X, Y); or a DataLoader or Dataset of
            any of these, of which one batch is read. What was read or left out is among the notes.
        targets: what the loss takes beside the output; labels that are text are coded; of a data frame also the name
            of its target column.
        loss: callable (output, targets) -> scalar, or a name: "cross_entropy", "mse", … . None guesses and says so:
            integer targets mean cross-entropy on logits, float targets of the output's shape mean squared error, no
            targets the loss that the model returns (one number alone, or what it calls its loss), else a mean squared
            distance from fixed random targets.
        optimizer: "sgd", "adam", "adamw", … , or a torch.optim.Optimizer: the verdict is about training with it, with
            its rate, momentum, weight decay, groups, and the parameters that it holds. One that is not known by name is
            taken by the step that its object makes of a gradient.
        lr: its learning rate; None asks about the best one.
        line_probe: take the loss along the first step, at a copy of the weights and five forward passes with Adam and
            its kin, six with SGD. Without it the verdict is less sure, no real steps settle it, and `learning_rate` is
            None.
        probe: real steps at each of three rates on a copy of the weights, to sharpen `learning_rate`; 0 takes none.

    Returns:
        An `Inspection`: `verdict`, `probability`, `because`, `learning_rate`, `findings`, `layers`, `parameters`,
        `notes`, `passes`.

    Raises:
        InputError: inputs of the wrong shape or device (names the failing module), targets out of range, a loss that
            is no scalar, a model whose forward or backward pass raises or that returns no tensor.

    Source:
        Glorot & Bengio 2010 (signal and gradient by layer); Schoenholz et al. 2017 (correlation of inputs with
        depth); Yang et al. 2023, "A spectral condition for feature learning" (size of an update).

    >>> import torch, initlab
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
    >>> x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))
    >>> initlab.inspect(model, x, y).verdict
    'healthy'
    """
    inspector = inspector_of(model)
    if inspector is not None:
        found: Inspection = inspector(
            model, inputs, targets, loss, optimizer=optimizer, lr=lr, line_probe=line_probe, probe=probe
        )
        return found
    check_flags(line_probe=line_probe)
    model = check_whole(check_materialised(model))
    step = step_of(optimizer, lr, model)
    steps = probe_steps(probe)
    with tallied() as passes:
        evidence = gathered(model, inputs, targets, loss, step, line_probe=line_probe or steps > 0, probe=steps)
        judgement = judged(evidence)
        findings = aligned(findings_of(evidence), judgement.verdict)
    report = Inspection(
        verdict=judgement.verdict,
        probability=judgement.probability,
        because=judgement.because,
        learning_rate=evidence.window,
        findings=findings,
        layers=evidence.layers,
        parameters=evidence.parameters,
        notes=notes_of(evidence),
        model=type(model).__name__,
        loss=evidence.seen.loss if abs(evidence.seen.loss) < float("inf") else None,
        loss_name=evidence.seen.loss_name,
        optimizer=step.name,
        lr=evidence.step.lr,
        lr_given=step.given,
        batch_size=evidence.batch,
        steps=evidence.outlook.steps,
        passes=asdict(passes),
    )

    def again(
        model: nn.Module, inputs: Any, targets: Any, loss: Any, rate: float | None, decay: float | None, whole: bool
    ) -> Inspection:
        other = step if decay is None else step.decayed(decay)
        other = other.whole() if whole else other
        held_by = optimizer if other is step else other.optimizer(model)
        return inspect(model, inputs, targets, loss, optimizer=held_by, lr=rate or lr)

    held = targets is None and evidence.seen.answer.targets is not None
    return report.answered_by(lambda: fix_of(evidence, report, again, inputs, held=held))
