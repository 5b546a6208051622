"""The documentation lists every setting and every departure."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from airflow_provider_oleria.sandbox import Settings
from airflow_provider_oleria.sandbox.settings import DEPARTURES

PAGE = (Path(__file__).parents[2] / "docs/sandbox.md").read_text()


def test_the_page_has_every_setting() -> None:
    table = PAGE.partition("## Settings")[2].partition("## In pytest")[0]
    assert [field.name for field in fields(Settings) if f"`{field.name}`" not in table] == []


def test_the_page_has_every_departure() -> None:
    assert [way for way, text in DEPARTURES.items() if f"| `{way}` |" not in PAGE] == []
