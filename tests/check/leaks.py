"""What must not be found in a check's output."""

from __future__ import annotations

import csv
from urllib.parse import quote, quote_plus

from airflow_provider_oleria.sandbox import Sandbox


def leaks(sandbox: Sandbox, output: str) -> list[str]:
    """Every secret, token, signature and telling cell of an export that is in ``output``."""
    secrets = [form(secret) for secret in sandbox.secrets for form in (str, quote, quote_plus)]
    known = [*secrets, *sandbox.tokens, *sandbox.signatures, *_cells(sandbox), "X-Amz-Signature="]
    return [text for text in known if text in output]


def _cells(sandbox: Sandbox) -> set[str]:
    """Cells that are nobody's but the data's: too long, and too odd, to be found elsewhere by chance."""
    ids = {call.download_id for call in sandbox.calls if call.kind == "create" and call.download_id}
    cells: set[str] = set()
    for download_id in ids:
        with sandbox.expected(download_id).path.open(newline="") as file:
            cells |= {cell for row in list(csv.reader(file))[1:] for cell in row}
    return {cell for cell in cells if len(cell) > 7 and not cell.isalpha()}
