#!/usr/bin/env bash
# pyarrow: read_csv loses the LF of a CRLF inside quotes where a block ends between the two.
#
# The good guess: with newlines_in_values=True, block_size changes speed and memory alone, never a value.
# What happens: where a block's last byte is a CR, an LF at the start of the next block is skipped, as the rest of a line
# end, although the cell's quotes are open. The cell comes back with CR alone; nothing is raised. With the default block of
# 1 MiB, it depends on where a cell of several lines happens to lie in the file.
# Seen on 2026-11-28 with the version below. Remedy: one block (block_size of the whole input), or cells without CR.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
cd "$folder" && venv/bin/python - <<'PY'
import pyarrow as pa
from pyarrow import csv

content = b'id,note\r\n1,"first line\r\nsecond line"\r\n2,short\r\n'
inside = content.index(b"line\r\n") + len(b"line\r")
seen = {}
for block in (len(content) + 1, inside, inside + 1):
    table = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(block_size=block),
        csv.ParseOptions(newlines_in_values=True),
    )
    seen[block] = table["note"].to_pylist()
    print(f"pyarrow {pa.__version__}, block_size {block}: {seen[block]}")
whole, cut, after = seen.values()
assert whole == after == ["first line\r\nsecond line", "short"], "the behaviour has changed"
assert cut == ["first line\rsecond line", "short"], "the behaviour has changed"
PY
