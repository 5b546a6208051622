"""Write a CSV of the sandbox's rows: ``python source.py PATH BYTES``. Prints what it holds, as JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from itertools import chain, cycle
from pathlib import Path

from airflow_provider_oleria.sandbox.catalogue import columns_of
from airflow_provider_oleria.sandbox.rows import csv_of

_ROWS, _PIECE = 20_000, 500


def main(path: Path, size: int) -> None:
    """A header, and the same rows over and over, as often as there is room for them."""
    columns = columns_of("accessInventoryIdentitiesV2", seed=7)
    batches = (range(start, start + _PIECE) for start in range(0, _ROWS, _PIECE))
    pieces = ((rows, text.encode()) for rows, text in csv_of(columns, batches))
    written, row_count, digest = 0, 0, hashlib.sha256()
    with path.open("wb") as file:
        for rows, piece in chain([next(pieces)], cycle(list(pieces))):
            if written + len(piece) > size:
                break
            file.write(piece)
            digest.update(piece)
            written += len(piece)
            row_count += rows
    print(json.dumps({"size_bytes": written, "row_count": row_count, "sha256": digest.hexdigest()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
