"""Searches texts for secrets and for rows of data."""

from __future__ import annotations

import csv
from collections.abc import Collection
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_oleria.sandbox import Sandbox


def assert_no_secret(sandbox: Sandbox, *texts: str, where: str = "", nor: Collection[str] = ()) -> None:
    """Fail if a client secret (raw or encoded), an access token or the signature of a presigned URL is in a text.

    :param sandbox: the sandbox that issued them.
    :param texts: where to search.
    :param where: added to the failure's message.
    :param nor: more strings that must not be found.
    """
    secrets = {
        form for one in sandbox.secrets for form in (one, quote(one), quote(one, safe=""), quote_plus(one))
    }
    for secret in (*secrets, *sandbox.tokens, *sandbox.signatures, *nor):
        for text in texts:
            if (at := text.find(secret)) >= 0:
                pytest.fail(f"a secret got out{where}: {text[max(0, at - 300) : at + 100]}")


def cells_of(sandbox: Sandbox) -> set[str]:
    """The exported cells that are too long and too unusual to be in a text by chance."""
    ids = {call.download_id for call in sandbox.calls if call.kind == "create" and call.download_id}
    cells: set[str] = set()
    for download_id in ids:
        with sandbox.expected(download_id).path.open(newline="") as file:
            cells |= {cell for row in list(csv.reader(file))[1:] for cell in row}
    return {cell for cell in cells if len(cell) > 7 and not cell.isalpha()}
