"""Every kind of page, opened: nothing serious for axe-core, nothing wider than the window, no fault, no request."""

from __future__ import annotations

from pathlib import Path

import headless
import pytest
from axe import serious
from every_page import OTHERS, RESULTS, written

from initlab.reporting import Shown

# Figures are drawn anew 150 ms after the window has changed.
PAINTED = "new Promise(done => setTimeout(() => requestAnimationFrame(() => done(1)), 200))"


@pytest.mark.parametrize("name", [*RESULTS, *OTHERS])
def test_a_page_can_be_read_by_all(browser: headless.Browser, tmp_path: Path, name: str) -> None:
    tab = browser.open(written(tmp_path, name), width=1400, dark=True)
    for width, dark in ((1400, True), (400, False)):
        tab.seen_in(width=width, dark=dark)
        assert serious(tab) == []
        tab.run(PAINTED)
        assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.trouble() == []
    assert tab.requests() == []
    tab.close()


def test_no_kind_of_result_is_left_out() -> None:
    kinds = {kind for kind in Shown.__subclasses__() if kind.__module__.startswith("initlab.")}
    assert kinds == {result.kind for result in RESULTS.values()}
