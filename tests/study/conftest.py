"""A PostgreSQL server of the tests' own, where one is installed."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest_comparison import one_thread  # noqa: F401  # an autouse fixture


def _as_postgres() -> list[str]:
    """Words before a command that run it as a user that PostgreSQL accepts: it refuses root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server in a temporary directory, with a password."""
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not binaries:
        pytest.skip("no PostgreSQL server here: Debian's `postgresql` package is not installed")
    pytest.importorskip("psycopg2", reason="no PostgreSQL driver: pip install 'initlab[postgres]'")
    folder = Path(tmp_path_factory.mktemp("postgres"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path("/tmp") / f"initlab-pg-{os.getpid()}"
    home.mkdir(mode=0o700)
    (home / "pw").write_text("se:cr/et")
    if os.geteuid() == 0:
        for path in (home, home / "pw"):
            shutil.chown(path, "postgres", "postgres")
    bin_folder, prefix = Path(binaries[-1]).parent, _as_postgres()
    control = str(bin_folder / "pg_ctl")

    def run(*words: str) -> None:
        log = (folder / "log").open("a")
        subprocess.run([*prefix, *words], check=True, stdout=log, stderr=log, cwd=home)

    try:
        run(str(bin_folder / "initdb"), "-D", str(home / "data"), "-U", "me", "--auth=scram-sha-256",
            f"--pwfile={home / 'pw'}", "-E", "UTF8", "--no-sync")  # fmt: skip
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {home} -c fsync=off"
        run(control, "-D", str(home / "data"), "-w", "-o", options, "-l", str(home / "server.log"), "start")
        yield f"postgresql://me:se%3Acr%2Fet@127.0.0.1:{port}/postgres"
    finally:
        stop = [*prefix, control, "-D", str(home / "data"), "-m", "immediate", "stop"]
        subprocess.run(stop, cwd=home, capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)
