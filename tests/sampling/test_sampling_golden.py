"""Stream version 1 is frozen: SHA-256 of tensors of every law, dtype and many shapes.

`python tests/sampling/test_sampling_golden.py` prints the table; a change in it is a new stream version.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from pathlib import Path

import pytest

from initlab.sampling import laws, sample
from initlab.sampling.laws import Law

TABLE = Path(__file__).with_name("golden_v1.json")

LAWS: dict[str, Law] = {
    "normal": laws.Normal(0.0, 1.0),
    "normal_shifted": laws.Normal(1.5, 0.02),
    "uniform": laws.Uniform(-0.05, 0.05),
    "uniform_shifted": laws.Uniform(1.0, 3.0),
    "truncated": laws.TruncatedNormal.from_sigmas(0.02),
    "truncated_wide": laws.TruncatedNormal.from_sigmas(1.0, 6.0),
    "truncated_one_sided": laws.TruncatedNormal(0.3, 0.2, 0.0, math.inf),
    "sparse": laws.Sparse(0.01, 0.5),
    "identity": laws.Identity(2.0),
    "constant": laws.Constant(0.1),
    "stacked": laws.Stacked(0, (3, 5), (laws.Normal(0.0, 1.0), laws.Uniform(0.0, 1.0))),
}
SHAPES = ((8, 5), (8, 600, 3))
DTYPES = ("float32", "float64", "bfloat16", "float16")
CASES = [f"{law}-{dtype}-{'x'.join(map(str, s))}" for law, dtype, s in itertools.product(LAWS, DTYPES, SHAPES)]


def digest(case: str) -> str:
    law, dtype, shape = case.split("-")
    values = sample(LAWS[law], tuple(map(int, shape.split("x"))), seed=20, name="golden.weight", dtype=dtype)
    return hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()


@pytest.mark.parametrize("case", CASES)
def test_stream_version_1_is_frozen(case: str) -> None:
    assert digest(case) == json.loads(TABLE.read_text())[case]


def test_the_table_has_every_case_once() -> None:
    table = json.loads(TABLE.read_text())
    assert sorted(table) == sorted(CASES)
    random = {name: value for name, value in table.items() if not name.startswith(("identity", "constant"))}
    assert len(set(random.values())) == len(random)


if __name__ == "__main__":
    print(json.dumps({case: digest(case) for case in CASES}, indent=1))
