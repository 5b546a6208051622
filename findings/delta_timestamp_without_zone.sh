#!/usr/bin/env bash
# A timestamp without a time zone decides who can read a Delta table.
#
# The good guess: timestamp[us] and timestamp[us, tz=UTC] are two types in one kind of table.
# What happens: with a zone the new table needs reader version 1, which everything reads. Without one, deltalake asks for
# reader version 3 and the table feature timestampNtz: older readers refuse the whole table.
# Seen on 2026-11-28 with the versions below. Remedy: type timestamps with tz=UTC.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 deltalake==1.6.6
cd "$folder" && venv/bin/python - <<'PY'
from datetime import datetime

import pyarrow
from deltalake import DeltaTable, write_deltalake

seen = {}
for zone in (None, "UTC"):
    kind = pyarrow.timestamp("us", zone)
    write_deltalake(f"table-{zone}", pyarrow.table({"created": pyarrow.array([datetime(2026, 1, 1)], kind)}))
    protocol = DeltaTable(f"table-{zone}").protocol()
    seen[zone] = (protocol.min_reader_version, protocol.reader_features)
    print(f"{kind!s:22} reader version {protocol.min_reader_version}, features {protocol.reader_features}")
assert seen == {None: (3, ["timestampNtz"]), "UTC": (1, None)}, "the behaviour has changed"
PY
