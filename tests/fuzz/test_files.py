"""Files, and texts that repeat credentials. Of any CSV: tests/unit/test_csv_records.py, test_parquet.py."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from typing import Any

import pyarrow.parquet as pq
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaCheckError, OleriaFormatError
from airflow_provider_oleria.net.redaction import MAX_QUOTED, excerpt, quoted
from airflow_provider_oleria.transfer.checks import Checks
from tests.hook.test_planted_secrets import CREDENTIALS, MARK
from tests.unit.csv_contents import ANYTHING, chunked, counted, in_csv, written
from tests.unit.test_redaction import SPELLINGS

from .hostile import NOISE, only_ours, planted, words

NAMES = st.lists(st.sampled_from(["a", "0", "é", "12"]), unique=True)


@given(
    chunks=chunked(ANYTHING.map(lambda content: content + f'\n"{MARK}",1\n'.encode())),
    options=st.fixed_dictionaries(
        {"max_bytes": st.integers(1, 500)},
        optional={"required_columns": NAMES, "exact_columns": NAMES, "min_rows": st.integers(0, 4)},
    ),
)
@example(chunks=[f'0,"\n"{MARK}",1\n'.encode()], options={"max_bytes": 500, "required_columns": ["0", "a"]})
def test_a_csv_passes_its_checks_or_its_values_are_not_shown(
    chunks: list[bytes], options: dict[str, Any]
) -> None:
    checks = Checks(SaveOptions(**options))
    with only_ours(OleriaCheckError):
        for chunk in chunks:
            checks.write(chunk)
        checks.close(counted(chunks))
        assert sum(map(len, chunks)) <= options["max_bytes"]
        assert set(options.get("required_columns", ())) <= set(checks.columns)


def as_timestamp(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


TYPES: dict[str, Any] = {
    "int64": lambda text: int(text, 16 if "x" in text.lower() else 10),
    "double": float,
    "bool": lambda text: {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()],
    "date32": date.fromisoformat,
    "timestamp": as_timestamp,
}
CELLS = st.text(max_size=6) | st.sampled_from(
    [
        *words(
            '0 -1 007 1e3 0x1F nan -0 1_000 ١ " true True yes N/A 2026-05-12 2026-02-30 0001-01-01 9999-12-31'
        ),
        *words("2026-05-12T17:32:00Z 2026-05-12T17:32:00+02:00 2026-05-12T17:32:00.123456789Z"),
        *("", " 5", "\r\n", "\0", "1,5", "9" * 30, "2026-05-12 17:32"),
    ]
)


@given(
    cells=st.lists(CELLS, max_size=8),
    kind=st.sampled_from([*TYPES]),
    on_type_error=st.sampled_from(["fail", "null"]),
)
@example(cells=["0x1F", " 0XFF"], kind="int64", on_type_error="fail")
@example(cells=["TRUE"], kind="bool", on_type_error="fail")
def test_a_cell_has_its_type_or_is_refused_by_row_and_column(
    cells: list[str], kind: str, on_type_error: Any
) -> None:
    cells = [f"{MARK}{cell}" if number == 5 else cell for number, cell in enumerate(cells)]
    lines = ["row,a", *(f"{number},{in_csv(cell, True)}" for number, cell in enumerate(cells))]
    content = "\r\n".join(lines).encode("utf-8", "surrogatepass")
    options = SaveOptions(column_types={"a": kind}, on_type_error=on_type_error)
    with only_ours(OleriaFormatError, match=r"row \d+, column (2|'a'): "):
        table = pq.read_table(io.BytesIO(written("out.parquet", [content[:9], content[9:]], options)))
        assert table["row"].to_pylist() == [str(number) for number in range(len(cells))]
        for value, cell in zip(table["a"].to_pylist(), cells, strict=True):
            assert value is None or value == TYPES[kind](cell) or value != value, cell  # NaN


@given(
    before=NOISE,
    after=NOISE,
    credential=st.sampled_from(CREDENTIALS),
    spelling=st.sampled_from([*SPELLINGS]),
    times=st.integers(1, 3000),
)
def test_a_credential_in_any_text_is_removed(
    before: str, after: str, credential: str, spelling: str, times: int
) -> None:
    text = f"{before} {SPELLINGS[spelling](credential)} {after}" * times
    with planted() as lines:
        lines += [quoted(text), excerpt(text.encode("utf-8", "replace"))]
        assert all(len(line) <= MAX_QUOTED for line in lines)
