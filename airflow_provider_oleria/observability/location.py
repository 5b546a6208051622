"""Where a saved file stands, as others call it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote

_SCHEMES: Final = {"": "file", "local": "file", "s3a": "s3", "gcs": "gs"}
"""Names that fsspec has for what all others know by one."""

_PLAIN: Final = "/-._~!$&'()*+,;=:@"
"""What a URI's path may have besides letters and digits (RFC 3986)."""


class Location(NamedTuple):
    """A file, without the Airflow Connection that reaches it.

    :param scheme: of its store, such as ``s3``, ``gs`` or ``file``.
    :param bucket: or host, or container; empty for a local file.
    :param key: its path there, without the leading slash.
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def of(cls, path: str) -> Location:
        """The location of a saved file.

        :param path: as in a result's ``path``, such as ``s3://aws_default@lake/risks.csv``.
        """
        scheme, _, rest = path.partition("://") if "://" in path else ("", "", path)
        bucket, _, key = rest.partition("/")
        return cls(_SCHEMES.get(scheme, scheme), bucket.rpartition("@")[2], key)

    @property
    def uri(self) -> str:
        """Its URI, as Airflow's assets have it (AIP-60)."""
        return f"{self.scheme}://{self.bucket}/{quote(self.key, safe=_PLAIN)}"

    @property
    def openlineage(self) -> tuple[str, str]:
        """Its namespace and name, as OpenLineage's naming conventions have them."""
        if self.scheme == "file":
            return "file", f"/{self.key}"
        return f"{self.scheme}://{self.bucket}", self.key

    @property
    def console_url(self) -> str:
        """Where a person can look at it in the store's own console; empty where there is none."""
        bucket, key = quote(self.bucket, safe=""), quote(self.key)
        match self.scheme:
            case "s3":
                return f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={key}"
            case "gs":
                return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{key}"
        return ""
