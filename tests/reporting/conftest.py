"""The browser that report tests share."""

from __future__ import annotations

from collections.abc import Iterator

import headless
import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[headless.Browser]:
    if headless.CHROMIUM is None:
        pytest.skip("no chromium on this machine: reports are not opened in a browser")
    opened = headless.Browser()
    try:
        yield opened
    finally:
        opened.close()
