"""The playground beside the site's pages: `playground.html`, built from the library that the site documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from initlab import playground


def write(app: Any, error: Exception | None) -> None:
    """Once the site stands."""
    if error is None and app.builder.format == "html":
        playground.save(Path(app.outdir) / "playground.html")


def setup(app: Any) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
