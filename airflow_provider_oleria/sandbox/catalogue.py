"""The data contexts and their columns, made from catalogue.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final

from airflow_provider_oleria.sandbox import samples
from airflow_provider_oleria.sandbox.columns import REFERENCE_MOMENT, Column, NumberedColumn, Value

_TABLES: Final[Mapping[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

CONTEXTS: Final[Mapping[str, str]] = _TABLES["contexts"]
"""The data contexts, each with its columns in order."""

_OF_SUBJECT: Mapping[str, Callable[[samples.Subject], Value]] = {
    **dict.fromkeys(
        ("identityName", "employeeName", "accountName", "userName", "ownerName"), lambda who: who.name
    ),
    "department": lambda who: who.department,
    "identityType": lambda who: who.type,
    "jobTitle": lambda who: who.title,
}
"""The columns that describe the person or machine of the row."""

# Primes: one for each column of the widest context, and a few to spare.
_PERIODS = (997, 1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093)


@lru_cache(maxsize=64)
def columns_of(context: str, seed: int, day: int = 0, *, thresholds: bool = False) -> Mapping[str, Column]:
    """Return the columns of a data context by name, in the order of the CSV."""

    def random_of(name: str) -> Random:
        return Random(f"{seed}/{context}/{name}")  # noqa: S311  # sample data, reproducible on purpose

    periods = iter(_PERIODS)
    random = random_of("subjects")
    subjects = [samples.subject(_TABLES["words"], random, number) for number in range(next(periods))]
    columns: dict[str, Column] = {}
    for column in CONTEXTS[context].split():
        name = column.partition("/")[0]
        if name.endswith("Id"):
            stem = f"{random_of(name).getrandbits(32):08x}-0000-4000-8000-"
            columns[name] = NumberedColumn(name, [stem], "012x")
        elif name in ("email", "ownerEmail"):
            stems = [f"{subject.local_part}." for subject in subjects]
            columns[name] = NumberedColumn(name, stems, tail="@example.com")
        elif read := _OF_SUBJECT.get(column):
            data_type = "enum" if name == "identityType" else "string"
            columns[name] = Column(name, data_type, [read(subject) for subject in subjects])
        else:
            columns[name] = _drawn(column, name, random_of(name), next(periods), day)
    if thresholds and "dormantDays" in columns:
        columns["dormantDays"].show_thresholds()
    return columns


def _drawn(column: str, name: str, random: Random, period: int, day: int) -> Column:
    empty = _TABLES["empty"].get(column, 0)
    table = [None if random.random() < empty else _draw(column, random, number) for number in range(period)]
    # A table of labels begins with an unusual one, so that the smallest download has it.
    offset = 0 if column in _TABLES["labels"]["columns"] else random.randrange(period)
    kinds = {
        "enums": "enum",
        "numbers": "number",
        "shares": "number",
        "booleans": "boolean",
        "timestamps": "timestamp",
    }
    data_type = next((kind for table_name, kind in kinds.items() if column in _TABLES[table_name]), "string")
    return Column(name, data_type, table, offset, day)


def _draw(column: str, random: Random, number: int) -> Value:
    """Draw a value; small numbers and recent moments are more frequent."""
    if choices := _TABLES["strings"].get(column) or _TABLES["enums"].get(column):
        return str(random.choice(choices))
    if limit := _TABLES["numbers"].get(column):
        return int(limit * random.random() ** 2)
    if share := _TABLES["booleans"].get(column):
        return bool(random.random() < share)
    if days := _TABLES["timestamps"].get(column):
        return REFERENCE_MOMENT - timedelta(seconds=1 + int(days * 86_400 * random.random() ** 2))
    if column in _TABLES["shares"]:
        return round(random.random(), 3)
    if column == "ipAddress":
        return samples.ip_address(random)
    return samples.label(_TABLES["words"], random, number)
