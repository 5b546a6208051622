#!/usr/bin/env bash
# oauthlib: a token with "expires_in": 0 is taken for one that never expires.
#
# The good guess: expires_in 0 means expired, so expires_at is now; "expires_in": "3600" may be refused.
# What happens: the text "3600" is read as a number, -5 gives an expires_at in the past, and 0 is dropped: the token has
# neither expires_in nor expires_at, so that a client that compares expires_at uses it without end.
# Seen on 2026-11-28 with the versions below. Remedy: read expires_in from the response itself.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check oauthlib==4.0.1
cd "$folder" && venv/bin/python - <<'PY'
import json

from oauthlib.oauth2 import BackendApplicationClient

seen = {}
for expires_in in (3600, "3600", 0, -5):
    body = json.dumps({"access_token": "token", "token_type": "Bearer", "expires_in": expires_in})
    token = BackendApplicationClient("client").parse_request_body_response(body)
    seen[expires_in] = (token.get("expires_in"), "expires_at" in token)
    print(f"expires_in {expires_in!r:7} → expires_in {token.get('expires_in')}, expires_at set: {'expires_at' in token}")
assert seen == {3600: (3600, True), "3600": (3600, True), 0: (None, False), -5: (-5, True)}, "the behaviour has changed"
PY
