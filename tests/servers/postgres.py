"""A private PostgreSQL server: own port, own data."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from .processes import free_port, program, until


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One for all tests."""
    postgres = Postgres()
    postgres.start()
    yield postgres
    postgres.close()


class Postgres:
    """A server that can be stopped and started again."""

    def __init__(self) -> None:
        self._pg_ctl = program("pg_ctl", "postgresql")
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="oleria-postgres-"))
        # It refuses to run as root; its package comes with a user for it.
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        shutil.chown(self._folder, self._user)
        self._run(program("initdb", "postgresql"), "-D", "data", "-U", "airflow", "-A", "trust", "-E", "UTF8")

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300"
        )
        self._run(self._pg_ctl, "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop immediately, as in a crash."""
        self._run(self._pg_ctl, "-D", "data", "-w", "-m", "immediate", "stop")

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def create(self, database: str) -> None:
        self._ask("postgres", f'create database "{database}"')

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/{database}"

    def rows(self, database: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query; waits while the server is down."""

        def ask() -> list[list[tuple[Any, ...]]]:
            try:
                return [self._ask(database, query, *parameters)]
            except psycopg2.OperationalError:
                return []

        return until(ask, "PostgreSQL answers")[0]

    def dump(self, database: str) -> str:
        pg_dump = program("pg_dump", "postgresql")
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow", database]
        return subprocess.run([pg_dump, *where], check=True, capture_output=True, text=True).stdout

    def _ask(self, database: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        where = {"host": "127.0.0.1", "port": self.port, "user": "airflow", "dbname": database}
        with closing(psycopg2.connect(**where)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def _run(self, *command: str) -> None:
        as_user = {"user": self._user} if os.geteuid() == 0 else {}
        subprocess.run(command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, **as_user)
