"""Real stores, or their emulators, behind Airflow Connections: what the tests of every store need of each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Store:
    """A store with an empty bucket, container or folder.

    :param url: of the bucket, with its Connection and without a slash at the end.
    :param put: write a file, given its name and content, without this package.
    :param files: the names and contents of all files that a reader sees.
    :param leftovers: what unfinished writes have left, visible or not.
    :param is_tidied_later: whether what a failed write leaves, invisibly, is removed by the next write or the store.
    :param broken: problem → the URL of a bucket with that problem. The problems: ``missing`` (no bucket),
        ``forbidden`` (a Connection that may only read), ``credentials`` (a wrong password or key), ``unreachable``.
    :param registration: Python code that makes the store known to Airflow in another process, if no provider does.
    """

    url: str
    put: Callable[[str, bytes], object]
    files: Callable[[], dict[str, bytes]]
    leftovers: Callable[[], list[str]]
    is_tidied_later: bool = False
    broken: dict[str, Callable[[], str]] = field(default_factory=dict)
    registration: str = ""


def connection(monkeypatch: pytest.MonkeyPatch, **fields: object) -> str:
    """The id of a new Connection. Airflow keeps the filesystem that it has opened for an id."""
    conn_id = f"store_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    return conn_id
