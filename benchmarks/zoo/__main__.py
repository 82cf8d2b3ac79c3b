"""`make zoo`: tries `auto` on every model, one line each in benchmarks/zoo/results.jsonl; goes on where it stopped.

`python -m benchmarks.zoo [PART …]`: PART is the beginning of names, such as `timm/` or `transformers/gpt`.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks._lines import Lines
from benchmarks.zoo.hugging_face import classifiers, language_models, perceivers
from benchmarks.zoo.measure import measured
from benchmarks.zoo.running import each, share
from benchmarks.zoo.small_libraries import others
from benchmarks.zoo.vision import timm_models, torchvision_models

KEPT = Path(__file__).with_name("results.jsonl")
SECONDS = 180  # for one model
VERDICTS = "INITLAB_ZOO_VERDICTS" in os.environ  # whether each model is also inspected as built


def table(lines: list[dict[str, Any]]) -> None:
    for part in dict.fromkeys(line["name"].partition("/")[0] + "/" for line in lines):
        built = [line for line in lines if line["name"].startswith(part) and "failed" not in line]
        if not built:
            continue
        planned = [line for line in built if "raised" not in line]
        layers = [value for line in planned for value in line["layers"].values()]
        failed = sum("failed" in line for line in lines if line["name"].startswith(part))
        print(f"{part[:-1]}: {len(built)} models ({failed} not built here)")
        print(f"  planned and written            {share('raised' not in line for line in built)}")
        print(f"  nothing undecided              {share(not line['undecided'] for line in planned)}")
        print(f"  first loss within 5%, own      {share(abs(line['own_loss'] - 1) <= 0.05 for line in built)}")
        print(f"  first loss within 5%, auto     {share(abs(line['loss'] - 1) <= 0.05 for line in planned)}")
        print(f"  second moment in [0.5, 2]      {share(0.5 <= value <= 2 for value in layers)}")
        print(f"  second moment in [0.25, 4]     {share(0.25 <= value <= 4 for value in layers)}")
        print(f"  as built called untrainable    {share(line.get('own_verdict') == 'untrainable' for line in built)}")
        print(f"  planned in 3 passes + 2 s      {share(line['plan'] <= 3 * line['pass'] + 2 for line in planned)}")


def main() -> None:
    lines = Lines(KEPT, "name")
    families = chain(language_models(), classifiers(), perceivers(), others(), torchvision_models(), timm_models())
    each(families, lines, sys.argv[1:], partial(measured, verdicts=VERDICTS), SECONDS)
    table(lines.kept)


if __name__ == "__main__":
    main()
