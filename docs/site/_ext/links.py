"""Sphinx: every link within the built site leads somewhere; one that does not is a warning, and so an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dead_links import dead_links
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LOG = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for remark in dead_links(Path(app.outdir)):
            LOG.warning(remark)
