"""The literature in Korean: every claim, and all that its outcome says, of every experiment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from initlab.experiments import get_experiment, list_experiments
from initlab.experiments.literature import from_folder
from initlab.reporting.korean import korean

DOCS = Path(__file__).parents[2] / "docs"
NAME = r"\w+_\w+|tanh|std|rms|float32|torch|linear\d|relu"  # what stays as it is written in code
ENGLISH = re.compile(rf"(?<![\w/'.-])(?!(?:{NAME})(?!\w))[a-z]{{3,}}(?![\w'])")


@pytest.mark.parametrize("name", list_experiments())
def test_every_claim_has_its_korean(name: str) -> None:
    experiment = get_experiment(name)
    said = [experiment.title, experiment.asks, *experiment.errata, *(claim.text for claim in experiment.claims)]
    assert [text for text in said if not re.search("[가-힣]", korean(text)) or ENGLISH.search(korean(text))] == []


@pytest.mark.parametrize("name", list_experiments())
def test_the_numbers_and_tests_of_a_kept_outcome_are_korean(name: str) -> None:
    claims = json.loads((DOCS / "outcomes" / f"{name}.json").read_text(encoding="utf-8"))["claims"]
    said = [korean(claim[key]) for claim in claims for key in ("source", "verdict", "numbers", "rule")]
    assert [text for text in said if ENGLISH.search(text.replace("(deeplearningzerotoall)", ""))] == []


def test_the_korean_page_is_what_the_kept_outcomes_say() -> None:
    page = (DOCS / "literature.ko.md").read_text(encoding="utf-8")
    assert page == from_folder(DOCS / "outcomes", korean)
    assert [
        line for line in page.splitlines() if not line.startswith("`") and re.search("[A-Za-z]+ [a-z]+ [a-z]+ ", line)
    ] == []
