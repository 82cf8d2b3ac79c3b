"""One thread in every test of this folder."""

from conftest_comparison import one_thread  # noqa: F401  # an autouse fixture
