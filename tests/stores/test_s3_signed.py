"""An S3 API that checks signatures and rights: moto, which does so if its environment asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from tests.servers.processes import free_port, listens, until
from tests.servers.stores import connection

pytest.importorskip("moto", "5.2", reason="moto 5.1.22 refuses right signatures of uploads to keys with '='")

WRITE = ["s3:PutObject"]
REMOVE_LEFTOVERS = ["s3:ListBucketMultipartUploads", "s3:AbortMultipartUpload"]

User = Callable[..., str]


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Any, Any]]:
    """The administrator's boto3 clients for S3 and IAM; the bucket is ``lake``."""
    port = free_port()
    # Before there is an administrator no request can be signed: three requests, and the one that creates the bucket.
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "4"}
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: listens(port) or process.poll() is not None, "moto listens")
            url = f"http://127.0.0.1:{port}"
            anybody = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
            key = create_user(client("iam", url, **anybody), ["*"])
            client("s3", url, **anybody).create_bucket(Bucket="lake")
            yield client("s3", url, **key), client("iam", url, **key)
        finally:
            process.kill()


@pytest.fixture
def s3(account: tuple[Any, Any]) -> Any:
    return account[0]


@pytest.fixture
def user(account: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> User:
    """Creates a user with some rights; gives the id of its Connection, which may have another password."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    _, iam = account

    def create(actions: list[str], password: str = "") -> str:
        key = create_user(iam, actions)
        return connection(
            monkeypatch,
            conn_type="aws",
            login=key["aws_access_key_id"],
            password=password or key["aws_secret_access_key"],
            extra={"endpoint_url": iam.meta.endpoint_url, "region_name": "us-east-1"},
        )

    return create


def client(service: str, url: str, **key: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **key)


def create_user(iam: Any, actions: list[str]) -> dict[str, str]:
    """Create a user who may do some things, and return the access key."""
    name = uuid.uuid4().hex
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy)
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


@pytest.mark.parametrize("size", [1_000, 12_000_000], ids=["one PUT", "three parts"])
@pytest.mark.parametrize("actions", [WRITE, WRITE + REMOVE_LEFTOVERS], ids=["narrow", "all"])
def test_each_request_is_signed_and_none_needs_another_right(
    s3: Any, user: User, actions: list[str], size: int
) -> None:
    key = f"ds=2026-11-28/é b+c ({size}, {len(actions)}).csv"
    path = resolve(f"s3://{user(actions)}@lake/{key}")
    for night in (b"1", b"2"):
        check_writable(path)
        with publish(path, 0) as file:
            file.write(night * size)

    assert s3.get_object(Bucket="lake", Key=key)["Body"].read() == b"2" * size


@pytest.mark.parametrize(
    ("actions", "password", "reason"),
    [
        (WRITE, "another secret", "The request signature we calculated does not match"),
        (["s3:GetObject", "s3:ListBucket"], "", "Access Denied"),
    ],
    ids=["wrong secret", "read-only"],
)
def test_who_may_not_write_is_refused_before_a_download(
    s3: Any, user: User, actions: list[str], password: str, reason: str
) -> None:
    s3.put_object(Bucket="lake", Key="kept.csv", Body=b"previous")
    conn_id = user(actions, password)
    with pytest.raises(OleriaInputError, match=f"{reason}.*Check the Airflow Connection '{conn_id}'"):
        check_writable(resolve(f"s3://{conn_id}@lake/kept.csv"))

    assert s3.get_object(Bucket="lake", Key="kept.csv")["Body"].read() == b"previous"
