"""The blocks of the page on training loops, which the build only shows: they run as pasted, one after another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "site"


def _pasted(language: str) -> list[str]:
    text = (PAGES / language / "howto" / "training-loops.md").read_text(encoding="utf-8")
    return re.findall(r"^```py\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_both_languages_hold_the_same_code() -> None:
    assert _pasted("en") == _pasted("ko")
    assert len(_pasted("en")) == 3


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")  # of the libraries beside initlab
def test_the_blocks_run_as_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lightning", "transformers", "accelerate", "tensorboard", "wandb"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {"__name__": "__main__"}
    for block in _pasted("en"):
        exec(compile(block, "training-loops.md", "exec"), session)
    assert (tmp_path / "start.html").stat().st_size > 0
    assert len(session["check"].history) == 4
    assert [*tmp_path.glob("runs/start/events*")]
    assert [*tmp_path.glob("wandb/offline-run*")]
