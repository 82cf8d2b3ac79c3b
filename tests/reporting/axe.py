"""axe-core on an open page: what it calls serious or critical."""

from __future__ import annotations

import json
from pathlib import Path

import headless

AXE = Path(__file__).parents[1] / "assets" / "axe-core-4.14.1.min.js"


def serious(tab: headless.Tab) -> list[str]:
    """One line for each element that axe-core finds at fault."""
    tab.run(AXE.read_text(encoding="utf-8") + ";0")
    found = tab.run("axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))")
    return [
        f"{v['id']}: {node['html'][:200]}"
        for v in json.loads(found)
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
