"""Whether a secret has got out."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_oleria.sandbox import Sandbox


def assert_no_secret(sandbox: Sandbox, *texts: str, where: str = "") -> None:
    """Neither secret (raw or encoded) nor token nor a presigned URL's signature."""
    secrets = {form for one in sandbox.secrets for form in (one, quote(one, safe=""), quote_plus(one))}
    for secret in (*secrets, *sandbox.tokens, *sandbox.signatures):
        for text in texts:
            if (at := text.find(secret)) >= 0:
                pytest.fail(f"a secret got out{where}: {text[max(0, at - 300) : at + 100]}")
