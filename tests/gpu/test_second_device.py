"""What is on another device than the CPU, on any machine: the checks run on a device that is made for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(not (shutil.which("c++") and shutil.which("ninja")), reason="no C++ compiler or no ninja is here")
@pytest.mark.timeout(1200)
def test_what_holds_on_the_cpu_holds_on_another_device(tmp_path: Path) -> None:
    paths = [str(HERE), str(HERE.parents[1] / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "second_device", "-p", "no:cacheprovider", "-p", "no:xdist",
         str(HERE / "on_a_second_device.py")],
        capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SECOND_DEVICE": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    assert " passed" in done.stdout
