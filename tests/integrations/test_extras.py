"""Frameworks are imported only when asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import initlab
from initlab.integrations.extras import MissingExtraError, needed


def test_initlab_imports_neither_keras_nor_jax() -> None:
    code = (
        "import sys, initlab; initlab.init_; initlab.inspect; print(sorted({'keras', 'jax', 'flax'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_framework_names_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'initlab\[jax\]'") as caught:
        needed("no_such_framework", "jax")
    assert isinstance(caught.value, initlab.InitlabError)
    assert isinstance(caught.value, ImportError)


def test_a_backend_that_is_missing_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import initlab.integrations.keras"],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        pytest.skip("tensorflow is installed")
    assert "set KERAS_BACKEND" in done.stderr
