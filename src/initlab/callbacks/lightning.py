"""Lightning: the module is inspected on the first training batch, by its own training step."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect as signatures
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from initlab.callbacks.checking import acted_on, action_of, inspected, log
from initlab.callbacks.statistics import LayerWatch
from initlab.errors import whole_number
from initlab.inspection import Inspection
from initlab.integrations.extras import needed

_SILENT = ("log", "log_dict", "print")


def _bases() -> tuple[Any, ...]:
    """The Callback of Lightning: of `lightning.pytorch` and of `pytorch_lightning`, where both are in use of both."""
    names = ("lightning.pytorch", "pytorch_lightning")
    used = [name for name in names if name in sys.modules]
    if not used:
        only = (
            importlib.util.find_spec("lightning") is None and importlib.util.find_spec("pytorch_lightning") is not None
        )
        used = [names[1] if only else names[0]]
    return tuple(needed(name, "lightning", "initlab.callbacks.InitCheck").Callback for name in used)


class InitCheck(*_bases()):  # type: ignore[misc]  # classes that are found at run time
    """Inspects a LightningModule on its first training batch, with its own training step and optimizer.

    Module, random states, loaders and optimizer are left as they are: losses with and without the callback are equal,
    bit for bit. What `self.log` is called with during the inspection is dropped.

    Args:
        action: what an untrainable start leads to: "warn" (an `InitWarning`), "raise" (an `UntrainableError`) or "log".
        steps: for how many steps statistics of every layer go to the Trainer's loggers: mean and std of its output,
            root mean square of its parameters and their gradients.

    Attributes:
        report: the `Inspection`; None before the first batch, and for a module that optimizes by hand.
        history: (step, {name: value}) of the first `steps` steps.

    Raises:
        InputError: an unknown action, or a number of steps that is none.
        MissingExtraError: Lightning is not installed.
    """

    def __init__(self, action: str = "warn", *, steps: int = 0) -> None:
        super().__init__()
        self.action = action_of(action)
        self.steps = whole_number("steps", steps, low=0)
        self.report: Inspection | None = None
        self.history: list[tuple[int, dict[str, float]]] = []
        self._watch: LayerWatch | None = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Inspect on the first batch; watch the layers in the first steps."""
        if self.report is None and batch_idx == 0 and trainer.current_epoch == 0:
            self._inspect(trainer, pl_module, batch)
        if trainer.global_step < self.steps and self._watch is None:
            self._watch = LayerWatch(pl_module)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Read the gradients before the optimizer uses them."""
        if self._watch is not None:
            self._watch.read_gradients()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Send what was read to the loggers."""
        if self._watch is None:
            return
        found = self._watch.taken()
        self.history.append((trainer.global_step, found))
        for logger in trainer.loggers:
            logger.log_metrics(found, step=trainer.global_step)
        if trainer.global_step >= self.steps:
            self._closed()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave no hook behind."""
        self._closed()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave no hook behind."""
        self._closed()

    def _inspect(self, trainer: Any, module: Any, batch: Any) -> None:
        if not module.automatic_optimization:
            log.warning("InitCheck: %s optimizes by hand, so its training step is not run", type(module).__name__)
            return

        @contextlib.contextmanager
        def at_work() -> Iterator[None]:
            with trainer.precision_plugin.forward_context(), _steps_when_called(module):
                yield

        with at_work():
            report = inspected(module, (batch,), trainer.optimizers[0] if trainer.optimizers else "adamw")
            self.report = report.within(at_work)
        if trainer.is_global_zero:
            acted_on(self.report, self.action)

    def _closed(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


@contextlib.contextmanager
def _steps_when_called(module: Any) -> Iterator[None]:
    """Inside, calling the module runs its training step: it gives its loss, beside what its forward returned."""
    forward, running, seen = module.forward, False, list[Any]()
    takes_index = _takes_index(module.training_step)

    def step(*args: Any, **kwargs: Any) -> Any:
        nonlocal running
        if running:
            seen.append(forward(*args, **kwargs))
            return seen[-1]
        running = True
        seen.clear()
        hooks = [child.register_forward_hook(_kept(seen)) for child in module.children()]
        try:
            found = module.training_step(args[0], 0) if takes_index else module.training_step(args[0])
        finally:
            running = False
            for hook in hooks:
                hook.remove()
        loss = found["loss"] if isinstance(found, dict) else found
        output = next((value for value in reversed(seen) if isinstance(value, Tensor) and value.ndim), None)
        return {"loss": loss} if output is None else {"loss": loss, "logits": output}

    def taken(batch: Any) -> Any:
        """What `forward` seems to take from outside."""

    step.__signature__ = signatures.signature(taken)  # type: ignore[attr-defined]
    own = {name: module.__dict__[name] for name in ("forward", *_SILENT) if name in module.__dict__}
    module.__dict__.update({"forward": step, **dict.fromkeys(_SILENT, _nothing)})
    try:
        yield
    finally:
        for name in ("forward", *_SILENT):
            module.__dict__.pop(name, None)
        module.__dict__.update(own)


def _takes_index(training_step: Any) -> bool:
    """Whether Lightning gives the step the batch's index: a parameter of any name after the batch, or `*args`."""
    kinds = [parameter.kind for parameter in signatures.signature(training_step).parameters.values()]
    placed = sum(k in (signatures.Parameter.POSITIONAL_ONLY, signatures.Parameter.POSITIONAL_OR_KEYWORD) for k in kinds)
    return placed > 1 or signatures.Parameter.VAR_POSITIONAL in kinds


def _kept(seen: list[Any]) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        seen.append(output)

    return hook


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What `self.log` does during an inspection."""
