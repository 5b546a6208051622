"""The names of a saved file: in assets, in OpenLineage, and in the console of its store."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote

_SCHEMES: Final = {"": "file", "local": "file", "s3a": "s3", "gcs": "gs"}
"""Schemes of fsspec for stores that have another scheme elsewhere."""

_ASCII: Final = "".join(map(chr, range(32, 127)))
_CUTS: Final = str.maketrans({"?": "%3F", "#": "%23"})
"""Characters that would end the path of a URI."""


class Location(NamedTuple):
    """The location of a file, without the Airflow Connection.

    Its names are those that Airflow's own ``ObjectStoragePath`` reports for a file that is read: ASCII is not
    percent-encoded. So a file that is written here and read there is one dataset.

    :param scheme: of its store, such as ``s3``, ``gs`` or ``file``.
    :param bucket: bucket, host or container; empty for a local file.
    :param key: path in the bucket, without the leading slash.
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
        """The URI of the file: in assets, lineage, results and logs.

        It is ASCII: Airflow 3.3.2 fails a task whose asset event has another URI, when it registers the asset.
        """
        return quote(f"{self.scheme}://{self.bucket}/{self.key.translate(_CUTS)}", safe=_ASCII)

    @property
    def openlineage(self) -> tuple[str, str]:
        """Namespace and name by OpenLineage's naming conventions, as from an asset with this URI."""
        name = self.uri.split("/", 3)[3]
        if self.scheme == "file":
            return "file", f"/{name}"
        return f"{self.scheme}://{self.bucket}", name

    @property
    def console_url(self) -> str:
        """URL of the file in the console of its store; empty if there is none."""
        bucket, key = quote(self.bucket, safe=""), quote(self.key)
        match self.scheme:
            case "s3":
                return f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={key}"
            case "gs":
                return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{key}"
        return ""
