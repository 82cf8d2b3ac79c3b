"""The browser that the tests of the playground share."""

from __future__ import annotations

from headless import browser

__all__ = ["browser"]
