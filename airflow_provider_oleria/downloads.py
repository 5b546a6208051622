"""The vocabulary of Oleria's Downloads API: data contexts, and what comes back. With ``Filter`` and ``Sort``, all a DAG
file needs.

Source of every name: Oleria's developer documentation, "Working with Downloads" and API reference. Nothing here
does I/O or imports more than the standard library.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from airflow_provider_oleria.exceptions import OleriaInputError

__all__ = [
    "Column",
    "DataContext",
    "Download",
    "DownloadStatus",
    "SaveOptions",
    "SavedDownload",
]


class DataContext(StrEnum):
    """What can be exported. A member is its API name as a string; other strings stay usable.

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
        """Warn about a data context outside the published catalogue, offering the nearest known one.

        The catalogue is not proven complete, so this is no error.
        """
        if name in cls._value2member_map_:
            return
        import difflib  # which nobody needs otherwise

        near = difflib.get_close_matches(name, [member.value for member in cls], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        warnings.warn(
            f"{name!r} is not among the data contexts Oleria has published; it is sent as it stands.{hint}",
            UserWarning,
            stacklevel=3,
        )


class DownloadStatus(StrEnum):
    """Where an export stands."""

    ACCEPTED = "accepted"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def parse(cls, text: str) -> str:
        """The member for a status Oleria has published; any other text unchanged, since Oleria may add statuses."""
        return cls(text) if text in tuple(cls) else text


@dataclass(frozen=True)
class Download:
    """One export as the API describes it.

    :param download_id: its id (a uuid).
    :param status: a :class:`DownloadStatus`, or the text of a status this version does not know.
    :param error: on ``failed``, the vendor's code and message.
    :param url: on ``completed``, the presigned URL of the CSV, valid for 5 minutes. It is a credential: do not
        log it, return it from a task or store it.
    """

    download_id: str
    status: str
    error: str | None = None
    url: str | None = field(default=None, repr=False)

    def serialize(self) -> dict[str, Any]:
        """What Airflow stores when a task returns it: everything but the URL."""
        return {"download_id": self.download_id, "status": str(self.status), "error": self.error}

    @classmethod
    def deserialize(cls, data: dict[str, Any], version: int) -> Download:
        """The way back."""
        return cls(
            download_id=data["download_id"],
            status=DownloadStatus.parse(data["status"]),
            error=data["error"],
        )


@dataclass(frozen=True)
class SaveOptions:
    """How to fetch an export, and what it must be like to replace the previous file.

    A gate that does not hold publishes nothing, and fails the task without using up its retries.

    :param min_rows: gate: rows it must have at least, the header not counted.
    :param required_columns: gate: columns it must have, among others, in any order.
    :param exact_columns: gate: its exact header, to notice when the schema drifts.
    :param column_types: for a ``.parquet`` destination: column → type, for columns that shall not be strings:
        ``int64`` and its like, ``double``, ``bool``, ``date32``, ``timestamp[ms]`` (``s``, ``ms``, ``us``, ``ns``),
        ``timestamp[ms, tz=UTC]``, or ``timestamp`` for ``timestamp[us, tz=UTC]``. An empty value is null in these.
    :param null_values: texts that are null in the columns of ``column_types``, besides the empty one: ``["N/A", "-"]``.
    :param on_type_error: what happens if a value does not fit its type: ``fail`` (the task fails, naming row and
        column) or ``null`` (the value becomes null, and is counted in the log and in ``type_errors``).
    :param compression: of a ``.parquet``: ``zstd``, ``snappy``, ``gzip``, ``brotli``, ``lz4`` or ``none``.
    :param row_group_size: rows of a row group of a ``.parquet``; 64 MiB of data end one earlier.
    :param max_concurrency: how many parts of a large file may be in flight at once; 1 fetches it in one stream.
    :param part_size: bytes of each part. ``max_concurrency`` times ``part_size`` is what a transfer holds in memory.
    """

    min_rows: int | None = None
    required_columns: Sequence[str] | None = None
    exact_columns: Sequence[str] | None = None
    column_types: Mapping[str, str] | None = None
    null_values: Sequence[str] = ()
    on_type_error: Literal["fail", "null"] = "fail"
    compression: str = "zstd"
    row_group_size: int = 100_000
    max_concurrency: int = 8
    part_size: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("required_columns", "exact_columns", "null_values"):
            if isinstance(getattr(self, name), str):
                raise OleriaInputError(f"{name} must be a list of strings, not a string")
        if self.on_type_error not in ("fail", "null"):
            raise OleriaInputError(f"on_type_error must be 'fail' or 'null', not {self.on_type_error!r}")
        for name in ("max_concurrency", "part_size"):
            if getattr(self, name) < 1:
                raise OleriaInputError(f"{name} must be at least 1, not {getattr(self, name)!r}")


class Column(NamedTuple):
    """A column of a saved file.

    :param name: as in the CSV's header.
    :param type: as in ``column_types``; ``None`` in a CSV, where all is text.
    """

    name: str
    type: str | None = None


@dataclass(frozen=True)
class SavedDownload:
    """An export that stands at its destination.

    :param download_id: the download id.
    :param data_context: what was exported; ``None`` where only the id was known.
    :param status: always ``completed``.
    :param path: the destination.
    :param size_bytes: size of the file at the destination.
    :param row_count: CSV records received, the header not counted.
    :param sha256: of the file at the destination, hexadecimal.
    :param source_sha256: of the CSV as received.
    :param type_errors: values that did not fit their type and became null, with ``on_type_error="null"``.
    :param columns: of the file at the destination.
    """

    download_id: str
    data_context: str | None
    status: str
    path: str
    size_bytes: int
    row_count: int
    sha256: str
    source_sha256: str
    type_errors: int = 0
    columns: tuple[Column, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The same as a plain dict, without the columns and what is not known: what the operators return."""
        result = asdict(self)
        del result["columns"]
        # Each key is an XCom of its own, and Airflow 3.0 cannot store None as one.
        return {name: value for name, value in result.items() if value is not None}
