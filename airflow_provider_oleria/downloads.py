"""The vocabulary of Oleria's Downloads API: data contexts, downloads, and how to save them.

Source of every name: Oleria's developer documentation, "Working with Downloads" and API reference. DAG files
import this module: it does no I/O and imports little.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

from airflow_provider_oleria.arguments import column_names, column_types, texts, whole_number
from airflow_provider_oleria.exceptions import OleriaInputError

_COMPRESSIONS: Final = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")
"""Of a Parquet file."""


class DataContext(StrEnum):
    """What can be exported. A member is a string, its API name; other names can be used as well.

    ``group`` and ``description`` are those of the vendor's documentation.
    """

    group: str
    description: str

    def __new__(cls, value: str, group: str, description: str) -> DataContext:
        member = str.__new__(cls, value)
        member._value_ = value
        member.group = group
        member.description = description
        return member

    ACCESS_INVENTORY_IDENTITIES = (
        "accessInventoryIdentitiesV2",
        "Access Inventory",
        "identities and what each of them can reach",
    )
    ACCESS_INVENTORY_EMPLOYEES = (
        "accessInventoryEmployeesV2",
        "Access Inventory",
        "employees and what each of them can reach",
    )
    ACCESS_INVENTORY_NHI = (
        "accessInventoryNhiV2",
        "Access Inventory",
        "non-human identities and what each of them can reach",
    )
    ACCESS_INVENTORY_ACCOUNTS = (
        "accessInventoryAccounts",
        "Access Inventory",
        "accounts and their access",
    )
    ACCESS_INVENTORY_APPLICATION_ACCOUNTS = (
        "accessInventoryApplicationAccountsV2",
        "Access Inventory",
        "accounts by application",
    )
    ACCESS_INVENTORY_APPLICATION_INSTANCES = (
        "accessInventoryApplicationInstancesV2",
        "Access Inventory",
        "application instances and who has access",
    )
    ACCESS_INVENTORY_GROUPS = (
        "accessInventoryGroupsV2",
        "Access Inventory",
        "groups, their members and their access",
    )
    ACCESS_INVENTORY_ROLES = (
        "accessInventoryRolesV2",
        "Access Inventory",
        "roles and who holds them",
    )
    ACCESS_INVENTORY_RESOURCE_INSTANCES = (
        "accessInventoryResourceInstancesV2",
        "Access Inventory",
        "resources and who can reach them",
    )
    IDENTITIES = ("identities", "Identity & Employees", "identity records")
    EMPLOYEES = ("employees", "Identity & Employees", "HR records")
    EMPLOYEE_ACCESS_INSIGHTS = (
        "employeeAccessInsights",
        "Identity & Employees",
        "access posture by employee",
    )
    OLERIA_USERS = ("oleriaUsers", "Identity & Employees", "users of Oleria itself")
    ACCOUNT_UTILIZATION = ("accountUtilization", "Utilization", "how accounts are used")
    GROUP_UTILIZATION_ACCOUNTS = (
        "groupUtilizationAccounts",
        "Utilization",
        "how group memberships are used, by account",
    )
    RISKS = ("risks", "Risk & Activity", "detected risks")
    RISKS_V2 = ("risksV2", "Risk & Activity", "detected risks, second version")
    RISK_MONITORING_DETAIL = ("riskMonitoringDetail", "Risk & Activity", "monitored risks in detail")
    ACTIVITY_ANALYSIS = ("activityAnalysis", "Risk & Activity", "the raw activity log")
    IDENTITY_ASSESSMENT_RISK_DOWNLOAD = (
        "identityAssessmentRiskDownload",
        "Identity Assessments",
        "periodic assessment: risks",
    )
    IDENTITY_ASSESSMENT_ENTITLEMENT_UTILIZATION = (
        "identityAssessmentEntitlementUtilization",
        "Identity Assessments",
        "periodic assessment: use of entitlements",
    )
    IDENTITY_ASSESSMENT_RESOURCE_INSTANCE_UTILIZATION = (
        "identityAssessmentResourceInstanceUtilization",
        "Identity Assessments",
        "periodic assessment: use of resources",
    )
    IDENTITY_ASSESSMENT_SIMILAR_GROUPS = (
        "identityAssessmentSimilarGroups",
        "Identity Assessments",
        "periodic assessment: groups that resemble",
    )
    ILM_EMPLOYEE_EVENTS = (
        "ilmEmployeeEvents",
        "Identity Lifecycle",
        "joiner, mover and leaver events",
    )
    ILM_WORKFLOW_EMPLOYEE_EVENTS = (
        "ilmWorkflowEmployeeEvents",
        "Identity Lifecycle",
        "what lifecycle workflows did for those events",
    )

    @classmethod
    def warn_if_unknown(cls, name: str) -> None:
        """Warn if a data context is not published, and suggest the most similar one that is.

        No error: the published catalogue may be incomplete.
        """
        if name in tuple(cls):
            return
        import difflib  # rarely needed

        near = difflib.get_close_matches(name, [member.value for member in cls], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        warnings.warn(
            f"{name!r} is not among the data contexts Oleria has published; it is sent unchanged.{hint}",
            UserWarning,
            stacklevel=3,
        )


class DownloadStatus(StrEnum):
    """The status of a download."""

    ACCEPTED = "accepted"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def parse(cls, text: str) -> str:
        """The member for a status that Oleria has published; any other text unchanged: Oleria may add statuses."""
        return cls(text) if text in tuple(cls) else text


@dataclass(frozen=True, init=False)
class Download(dict[str, Any]):
    """A download as the API describes it: the remote job.

    It is a dict as well, without the URL: a ``@task`` that returns it gives the next task a plain dict.

    :param download_id: its id (a UUID).
    :param status: a :class:`DownloadStatus`, or the text of a status that this version does not know.
    :param error: of a failed download, the vendor's code and message.
    :param url: of a completed download, the presigned URL of the CSV, valid for 5 minutes. It is a credential: do not
        log, return or store it. Copies and pickles lack it, and so does what is made of the fields, as by ``asdict()``.
    """

    download_id: str
    status: str
    error: str | None

    def __init__(
        self, download_id: str, status: str, error: str | None = None, url: str | None = None
    ) -> None:
        vars(self).update(download_id=download_id, status=status, error=error, _url=url)
        self.update(download_id=download_id, status=str(status), error=error)

    @property
    def url(self) -> str | None:
        """No field: Airflow and pydantic store a dataclass by its fields, also where it is part of another one."""
        url: str | None = vars(self)["_url"]
        return url

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_url": None}


@dataclass(frozen=True)
class SaveOptions(dict[str, Any]):
    """How to save a download, and which checks its file must pass to replace the previous one.

    It is a dict as well: a ``@task`` may return it, and the next one makes options of it again:
    ``SaveOptions(**options)``.

    A check that does not pass publishes nothing and fails the task without using up its retries. A number, a list or a
    dict may also be given as text, as a template renders it.

    :param min_rows: check: smallest number of rows, without the header.
    :param required_columns: check: columns that the file must have, among others, in any order.
    :param exact_columns: check: the exact header, in this order.
    :param max_bytes: check: largest size of the CSV, in bytes, without its Content-Encoding. A store that sends without
        end, or compressed data that unpacks without end, fills no disk.
    :param column_types: for a ``.parquet`` destination: column → type, for columns that are not to be strings:
        ``int64`` and similar, ``double``, ``bool``, ``date32``, ``timestamp[ms]`` (``s``, ``ms``, ``us``, ``ns``),
        ``timestamp[ms, tz=UTC]``, or ``timestamp`` for ``timestamp[us, tz=UTC]``. An empty value is null in these.
    :param null_values: texts that are null, like the empty one, in the columns of ``column_types``, strings excepted:
        ``["N/A", "-"]``.
    :param on_type_error: what happens if a value does not fit its type: ``fail`` (the task fails, naming row and
        column) or ``null`` (the value becomes null, and is counted in the log and in ``type_errors``).
    :param compression: of a ``.parquet``: ``zstd``, ``snappy``, ``gzip``, ``brotli``, ``lz4`` or ``none``.
    :param row_group_size: rows in a row group of a ``.parquet``; 64 MiB of data end one earlier.
    :param max_concurrency: how many parts of a large file are transferred at once; 1 uses a single stream.
    :param part_size: size of a part, in bytes. A transfer holds ``max_concurrency`` times ``part_size`` in memory.
    :raises OleriaInputError: naming the argument.
    """

    min_rows: int | None = None
    required_columns: Sequence[str] | None = None
    exact_columns: Sequence[str] | None = None
    max_bytes: int = 50 * 1024**3
    column_types: Mapping[str, str] | None = None
    null_values: Sequence[str] = ()
    on_type_error: Literal["fail", "null"] = "fail"
    compression: str = "zstd"
    row_group_size: int = 100_000
    max_concurrency: int = 8
    part_size: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            name: whole_number(name, getattr(self, name), 1)
            for name in ("max_bytes", "row_group_size", "max_concurrency", "part_size")
        }
        if self.min_rows is not None:
            checked["min_rows"] = whole_number("min_rows", self.min_rows, 0)
        if self.required_columns is not None:
            checked["required_columns"] = column_names(
                "required_columns", self.required_columns, ordered=False
            )
        if self.exact_columns is not None:
            checked["exact_columns"] = column_names("exact_columns", self.exact_columns, ordered=True)
        if self.column_types is not None:
            checked["column_types"] = column_types(self.column_types)
        checked["null_values"] = texts("null_values", self.null_values)
        if self.on_type_error not in ("fail", "null"):
            raise OleriaInputError(f"on_type_error must be 'fail' or 'null', not {self.on_type_error!r}")
        if self.compression not in _COMPRESSIONS:
            raise OleriaInputError(
                f"compression must be one of {', '.join(_COMPRESSIONS)}, not {self.compression!r}"
            )
        vars(self).update(checked)
        self.update(vars(self))


@dataclass(frozen=True)
class Column(dict[str, Any]):
    """A column of a saved file. It is a dict as well: a ``@task`` may return it.

    :param name: as in the CSV's header.
    :param type: as in ``column_types``; ``None`` in a CSV, where all is text.
    """

    name: str
    type: str | None = None

    def __post_init__(self) -> None:
        self.update(vars(self))


@dataclass(frozen=True)
class SavedDownload(dict[str, Any]):
    """A download that is saved as a file.

    It is a dict as well, without ``columns`` and without what is unknown: a ``@task`` may return it.

    :param download_id: its id.
    :param data_context: what was exported; ``None`` if only the id was known.
    :param status: always ``completed``.
    :param path: the destination, to open the file with.
    :param uri: the name of the file in assets and lineage: its path without the Airflow Connection.
    :param size_bytes: size of the file.
    :param row_count: records of the CSV, without the header.
    :param sha256: of the file, hexadecimal.
    :param source_sha256: of the CSV as received.
    :param type_errors: values that did not fit their type and became null, with ``on_type_error="null"``.
    :param columns: of the file.
    """

    download_id: str
    data_context: str | None
    status: str
    path: str
    uri: str
    size_bytes: int
    row_count: int
    sha256: str
    source_sha256: str
    type_errors: int = 0
    columns: tuple[Column, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        # None is left out: with multiple_outputs each key is an XCom, and Airflow 3.0 cannot store None as one.
        self.update(
            {name: value for name, value in vars(self).items() if value is not None and name != "columns"}
        )
