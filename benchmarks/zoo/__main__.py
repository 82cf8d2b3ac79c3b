"""`make zoo`: tries `auto` on every model, one line each in benchmarks/zoo/results.jsonl; goes on where it stopped.

`python -m benchmarks.zoo [PART …]`: PART is the beginning of names, such as `timm/` or `transformers/gpt`.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import chain
from pathlib import Path

from benchmarks._lines import Lines
from benchmarks.zoo.hugging_face import classifiers, language_models, perceivers
from benchmarks.zoo.kept_out import kept_out
from benchmarks.zoo.measure import measured
from benchmarks.zoo.report import PAGE, page, store
from benchmarks.zoo.running import each
from benchmarks.zoo.small_libraries import others
from benchmarks.zoo.vision import timm_models, torchvision_models

KEPT = Path(__file__).with_name("results.jsonl")
SECONDS = 180  # for one model
VERDICTS = "INITLAB_ZOO_VERDICTS" in os.environ  # whether each model is also inspected as built


def main() -> None:
    lines = Lines(KEPT, "name")
    families = chain(
        language_models(), classifiers(), perceivers(), others(), torchvision_models(), timm_models(), kept_out()
    )
    each(families, lines, sys.argv[1:], partial(measured, verdicts=VERDICTS), SECONDS)
    store(lines.kept)
    PAGE.write_text(page())
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
