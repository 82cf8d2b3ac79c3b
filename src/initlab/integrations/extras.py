"""A framework that is an extra: imported when asked for, with the extra named where it is missing."""

from __future__ import annotations

import importlib
from typing import Any

from initlab.errors import InitlabError


class MissingExtraError(InitlabError, ImportError):
    """A framework is not installed. The message names the extra that brings it."""


def needed(package: str, extra: str, by: str = "") -> Any:
    """The package, imported.

    Args:
        package: what is imported.
        extra: what brings it.
        by: what of initlab needs it; default the integration of the extra's name.

    Raises:
        MissingExtraError: it is not installed, and which extra installs it.
    """
    by = by or f"initlab.integrations.{extra}"
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name not in (package, package.partition(".")[0]):
            raise MissingExtraError(
                f"{by} cannot import {package}: {error}"
                + ("; set KERAS_BACKEND to a backend that is installed, jax or torch" if package == "keras" else "")
            ) from error
        raise MissingExtraError(
            f"{by} needs {package}, which is not installed: pip install 'initlab[{extra}]'"
        ) from None
