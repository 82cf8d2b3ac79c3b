"""What the callbacks share: the inspection of a first batch with an optimizer object, and what is done with it."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Literal, get_args

from torch import nn

from initlab.errors import InputError, unknown
from initlab.inspection import Inspection, inspect

Action = Literal["warn", "raise", "log"]
log = logging.getLogger("initlab.callbacks")


class InitWarning(UserWarning):
    """The model that is about to be trained is predicted not to train."""


def action_of(action: str) -> str:
    """The action, if there is such a one.

    Raises:
        InputError: there is not.
    """
    if action not in get_args(Action):
        raise unknown("action", action, get_args(Action))
    return action


def inspected(model: nn.Module, inputs: Any, optimizer: Any) -> Inspection:
    """The inspection with the loop's own optimizer; by AdamW's best rate where its first step is not known."""
    try:
        return inspect(model, inputs, optimizer=optimizer)
    except InputError as error:
        try:
            report = inspect(model, inputs)
        except InputError:
            raise error from None
        log.warning("judged with adamw, since the optimizer could not be used: %s", error)
        return report


def acted_on(report: Inspection, action: str) -> None:
    """Log the verdict; warn or raise where the model is predicted not to train.

    Raises:
        UntrainableError: `action` is "raise" and the verdict is "untrainable".
    """
    log.info("%s", report)
    if report.verdict != "untrainable" or action == "log":
        return
    if action == "raise":
        report.assert_healthy()
    findings = "; ".join(f"{f.kind} at {f.where}" for f in report.findings if f.severity != "info")
    warnings.warn(
        f"{report.model} is predicted not to train ({findings or '; '.join(report.because)}); the callback's "
        ".report has the whole inspection, and .report.fix() what to change",
        InitWarning,
        stacklevel=2,
    )
