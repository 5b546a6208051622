"""What the blocks of the documentation run in: real Airflow, the sandbox, and an S3 bucket named ``lake``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.airflow_runs.conftest import observed, run_dag, triggers_seen  # noqa: F401  # fixtures
from tests.servers.s3 import Bucket

LAKE = "lake"


@pytest.fixture
def lake(bucket: Bucket) -> Iterator[Bucket]:
    """The bucket that the documentation's destinations name."""
    bucket.client.create_bucket(Bucket=LAKE)
    lake = Bucket(LAKE, bucket.client)
    yield lake
    left = lake.keys()
    for key in left:
        lake.client.delete_object(Bucket=LAKE, Key=key)
    lake.client.delete_bucket(Bucket=LAKE)
