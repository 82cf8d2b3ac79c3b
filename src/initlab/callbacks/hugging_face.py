"""Hugging Face's Trainer: the model is inspected in its first training step, on the batch that the step is about."""

from __future__ import annotations

from typing import Any

from torch import nn

from initlab.callbacks.checking import acted_on, action_of, inspected
from initlab.callbacks.loggers import put_scalars
from initlab.callbacks.reporters import Reporters
from initlab.callbacks.statistics import LayerWatch
from initlab.errors import whole_number
from initlab.guest.check import wrapped
from initlab.inspection import Inspection
from initlab.integrations.extras import needed

_TRANSFORMERS: Any = needed("transformers", "transformers", "initlab.callbacks.TrainerInitCheck")


class TrainerInitCheck(_TRANSFORMERS.TrainerCallback):  # type: ignore[misc]  # a class that is found at run time
    """Inspects the model on the first batch that the Trainer trains it on, with the Trainer's optimizer.

    Model, random states, loader and optimizer are left as they are: losses with and without the callback are equal, bit
    for bit. Where the Trainer computes the loss itself (label smoothing, `compute_loss_func`), the model's own is used
    if the batch has labels.

    What the Trainer reports to (`report_to`) gets the verdict's probabilities and the statistics, under "initlab/…";
    TensorBoard and Weights & Biases also the findings, the tables and a histogram of every layer's output.

    Args:
        action: what an untrainable start leads to: "warn" (an `InitWarning`), "raise" (an `UntrainableError`) or "log".
        steps: for how many steps statistics of every layer are taken: mean and std of its output, root mean square of
            its parameters and their gradients.
        writer: where they go beside `history` and the Trainer's own reporters: a TensorBoard SummaryWriter or a
            Weights & Biases run.

    Attributes:
        report: the `Inspection`; None before the first step.
        history: (step, {name: value}) of the first `steps` steps.

    Raises:
        InputError: an unknown action, or a number of steps that is none.
        MissingExtraError: transformers is not installed.
    """

    def __init__(self, action: str = "warn", *, steps: int = 0, writer: Any = None) -> None:
        self.action = action_of(action)
        self.steps = whole_number("steps", steps, low=0)
        self.writer = writer
        self.report: Inspection | None = None
        self.history: list[tuple[int, dict[str, float]]] = []
        self._watch: LayerWatch | None = None
        self._first: Any = None
        self._reporters: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Wait for the first forward pass."""
        model, optimizer = given["model"], given.get("optimizer")
        own = wrapped(model)
        self._reporters = Reporters(_TRANSFORMERS)

        def first(module: nn.Module, positional: Any, keywords: dict[str, Any]) -> None:
            self._first.remove()
            self.report = inspected(own, keywords or positional, optimizer)
            self._reporters.show(self.report, args, state, control)
            if state.is_world_process_zero:
                acted_on(self.report, self.action)

        self._first = own.register_forward_pre_hook(first, with_kwargs=True)

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Watch the layers in the first steps."""
        if state.global_step < self.steps and self._watch is None:
            self._watch = LayerWatch(wrapped(given["model"]))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Read the gradients before the optimizer uses them."""
        if self._watch is not None:
            self._watch.read_gradients()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep what was read."""
        if self._watch is None:
            return
        found = self._watch.taken()
        self.history.append((state.global_step, found))
        self._reporters.log(found, args, state, control)
        if self.writer is not None and state.is_world_process_zero:
            put_scalars(self.writer, found, state.global_step)
        if state.global_step >= self.steps:
            self._closed()

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Leave no hook behind."""
        self._first.remove()
        self._closed()

    def _closed(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
