"""The browser that the tests of reports share."""

from __future__ import annotations

from headless import browser

__all__ = ["browser"]
