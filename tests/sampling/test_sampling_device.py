"""Triton's kernels give the bits that the host draws: here through Triton's interpreter, on a GPU in `make test-gpu`.

`make test-triton` installs Triton beside a CPU build of torch and runs this file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="Triton comes with torch's builds for GPUs, or by `make test-triton`")

from test_sampling_golden import CASES, LAWS, TABLE

from initlab.planning.memory import devices
from initlab.sampling import device, laws, orthogonal, sample
from initlab.sampling.streams import stream_key

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
WHERE = "cuda" if torch.cuda.is_available() else "cpu"
DRAWN = [case for case in CASES if devices._drawable(LAWS[case.split("-")[0]])]


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.cpu().contiguous()
    return (plain.view(torch.int16) if plain.element_size() == 2 else plain).numpy().tobytes()


def drawn(law: laws.Law, out: torch.Tensor, shape: tuple[int, ...], place: tuple[slice, ...], name: str) -> bool:
    everything = tuple(slice(0, size) for size in out.shape)
    return devices.draw(out, ((everything, place),), law, 20, name, shape)


def whole(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in shape)


@pytest.mark.parametrize("case", DRAWN)
def test_the_bits_are_those_of_stream_version_1(case: str) -> None:
    law, dtype, sizes = case.split("-")
    shape = tuple(map(int, sizes.split("x")))
    out = torch.full(shape, torch.nan, dtype=DTYPES[dtype], device=WHERE)
    assert drawn(LAWS[law], out, shape, whole(shape), "golden.weight")
    assert hashlib.sha256(bits(out)).hexdigest() == json.loads(TABLE.read_text())[case]


SHAPE = (6, 70, 9)
BLOCKS = [
    (slice(2, 5), slice(0, 70), slice(0, 9)),
    (slice(0, 6), slice(3, 40), slice(0, 9)),
    (slice(1, 2), slice(5, 6), slice(2, 8)),
    (slice(0, 6), slice(60, 70), slice(4, 5)),
]


@pytest.mark.parametrize("law", ["normal", "uniform", "truncated", "stacked_middle"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("place", BLOCKS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_blocks_in_memory_of_any_strides(law: str, dtype: str, place: tuple[slice, ...], order: tuple) -> None:
    stacked = laws.Stacked(1, (30, 40), (laws.Normal(0.0, 1.0), laws.Constant(0.1)))
    one = {**LAWS, "stacked_middle": stacked}[law]
    sizes = [cut.stop - cut.start for cut in place]
    held = torch.full([sizes[axis] for axis in order], torch.nan, dtype=DTYPES[dtype], device=WHERE)
    out = held.permute(*np.argsort(order).tolist())
    assert drawn(one, out, SHAPE, place, "w")
    expected = sample(one, SHAPE, seed=20, name="w", dtype=dtype)[place]
    assert bits(out) == np.ascontiguousarray(expected).tobytes()


def test_memory_that_cannot_be_walked_is_left_to_the_host() -> None:
    shape = (2, 2, 2, 2, 2)
    out = torch.zeros(32, device=WHERE).view(shape).permute(4, 2, 0, 3, 1)
    assert not drawn(laws.Normal(0.0, 1.0), out, shape, whole(shape), "w")
    assert not out.any()


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (7, 3), (3, 8), (1, 4), (40, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal_factors_agree_with_the_hosts_to_rounding(rows: int, columns: int, dtype: str) -> None:
    shape, law = (rows, columns), laws.Orthogonal(2.0)
    out = torch.full(shape, torch.nan, dtype=DTYPES[dtype], device=WHERE)
    assert drawn(law, out, shape, whole(shape), "w")
    expected = sample(law, shape, seed=20, name="w", dtype=dtype)
    np.testing.assert_allclose(out.cpu().numpy(), expected, atol=50 * np.finfo(dtype).eps)


def test_delta_orthogonal_fills_the_centre_of_a_shard() -> None:
    shape, law = (6, 4, 3, 3), laws.DeltaOrthogonal(1.0)
    out = torch.full((3, 4, 3, 3), torch.nan, dtype=torch.bfloat16, device=WHERE)
    assert drawn(law, out, shape, (slice(2, 5), slice(0, 4), slice(0, 3), slice(0, 3)), "w")
    expected = sample(law, shape, seed=20, name="w", dtype="float32")[2:5]
    np.testing.assert_allclose(out.float().cpu().numpy(), expected, atol=2**-8)


def test_the_elements_of_a_factor_are_a_stream_of_their_own() -> None:
    key = stream_key(1, "w", (9, 9), "orthogonal")
    out = torch.empty(81, device=WHERE)
    device.draw(out, "float32", (300,), (381,), key, devices._STANDARD)
    assert orthogonal.haar(9, 9, key, [300], "float32").shape == (1, 9, 9)
    factor = devices.product(out.view(9, 9)).cpu().numpy()
    np.testing.assert_allclose(factor, orthogonal.haar(9, 9, key, [300], "float32")[0], atol=1e-5)


COMPILES = """
import re, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from initlab.sampling import triton_kernels
for function in (triton_kernels.draw_run, triton_kernels.draw_box):
    for kind in range(3):
        for memory, form in (("*fp32", 0), ("*i16", 1), ("*i16", 2), ("*fp64", 0)):
            fixed = {"KIND": kind, "FORM": form, "DOUBLE": memory == "*fp64", "COUNTERS": 512, "ELEMENTS": 1024}
            fixed = {name: value for name, value in fixed.items() if name in function.arg_names}
            types = {name: "constexpr" if name in fixed else "i64" for name in function.arg_names} | {"out": memory}
            source, target = ASTSource(function, types, fixed), GPUTarget("cuda", 90, 32)
            ptx = triton.compile(source, target=target, options={"enable_fp_fusion": False}).asm["ptx"]
            print(len(re.findall(r"mul.(?:rn.)?f", ptx)), re.findall(r"fma[.]|mad[.](?:rn[.])?f|approx|[.]ftz", ptx))
"""


def test_the_compiled_kernels_round_each_operation_on_its_own() -> None:
    """In PTX for an H100, which needs no GPU: no fused multiply-add, no approximate root or quotient, no flushing."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    ran = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True, env=environment, check=True)
    lines = ran.stdout.split("\n")[:-1]
    assert len(lines) == 24
    assert all(re.fullmatch(r"[1-9]\d* \[\]", line) for line in lines), lines
