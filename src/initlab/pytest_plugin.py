"""The pytest plugin: the fixture `initlab_healthy`, and `--initlab-report DIR`, which keeps its inspections' pages.

It is loaded with every pytest run where initlab is installed, so it imports nothing until the fixture is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from initlab.inspection import Inspection


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command line's option."""
    parser.getgroup("initlab").addoption(
        "--initlab-report",
        metavar="DIR",
        default=None,
        help="write the page of each inspection that initlab_healthy makes into DIR",
    )


@pytest.fixture
def initlab_healthy(request: pytest.FixtureRequest) -> Callable[..., Inspection]:
    """Inspects a model and fails the test where it is predicted not to train.

    `initlab_healthy(model, batch, targets=None, loss=None, *, allow=("healthy", "slow", "uncertain"), **options)`:
    batch, targets, loss and options are those of `initlab.inspect`, `allow` that of `Inspection.assert_healthy`.
    It returns the `Inspection`.
    """
    folder, made = request.config.getoption("initlab_report"), [0]

    def check(model: Any, batch: Any, targets: Any = None, loss: Any = None, **options: Any) -> Inspection:
        # lazy: torch is loaded only by tests that ask for an inspection
        import initlab

        allow = {"allow": options.pop("allow")} if "allow" in options else {}
        report = initlab.inspect(model, batch, targets, loss, **options)
        if folder is not None:
            made[0] += 1
            report.save(_page(Path(folder), request.node.nodeid, made[0]))
        report.assert_healthy(**allow)
        return report

    return check


def _page(folder: Path, test: str, number: int) -> Path:
    """The page of a test's inspection: its name in letters that every file system takes."""
    # lazy: it brings jinja2 and rich, of which a run without the fixture has no need
    from initlab.reporting import made_folder

    made_folder(folder, "--initlab-report")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-.")[-150:]
    return folder / (f"{name}.html" if number == 1 else f"{name}-{number}.html")
