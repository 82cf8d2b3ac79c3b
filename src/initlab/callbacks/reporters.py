"""What a Hugging Face Trainer reports to: its `report_to`, found among the callbacks that it runs beside ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from initlab.callbacks.loggers import numbers_of, to_tensorboard, to_wandb
from initlab.inspection import Inspection


class Reporters:
    """The reporting callbacks of the Trainer whose event is being handled; none where it reports to nothing.

    A callback is not told which Trainer runs it: its handler stands among the callers of the event.
    """

    def __init__(self, transformers: Any) -> None:
        handler = _handler(sys._getframe(1), transformers.trainer_callback.CallbackHandler)
        kinds = tuple(transformers.integrations.integration_utils.INTEGRATION_TO_CALLBACK.values())
        self._reporters = [one for one in getattr(handler, "callbacks", []) if isinstance(one, kinds)]

    def log(self, values: Mapping[str, float], args: Any, state: Any, control: Any) -> None:
        """Numbers by name, at the Trainer's present step."""
        for reporter in self._reporters:
            reporter.on_log(args, state, control, logs=dict(values))

    def show(self, report: Inspection, args: Any, state: Any, control: Any) -> None:
        """An inspection: its numbers to each, verdict, tables and histograms to TensorBoard and Weights & Biases."""
        self.log(numbers_of(report), args, state, control)
        if not state.is_world_process_zero:
            return
        for reporter in self._reporters:
            if getattr(reporter, "tb_writer", None) is not None:
                to_tensorboard(report, reporter.tb_writer, step=state.global_step)
            run = getattr(getattr(reporter, "_wandb", None), "run", None)
            if run is not None:
                to_wandb(report, run)


def _handler(frame: FrameType | None, kind: type) -> Any:
    while frame is not None:
        found = frame.f_locals.get("self")
        if isinstance(found, kind):
            return found
        frame = frame.f_back
    return None
