"""The data contexts and their columns.

Oleria's field names per context are not published. These follow the vendor's published screens and its one published
example (``department`` and ``createdAt`` of the identities): realistic, not authoritative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from random import Random
from typing import NamedTuple

from airflow_provider_oleria.sandbox import samples
from airflow_provider_oleria.sandbox.columns import REFERENCE_MOMENT, Column, NumberedColumn, Value

_IDENTITY = "identityId identityName email identityType department"
_EMPLOYEE = "employeeId employeeName email department jobTitle"
_ACCOUNT = "accountId accountName email accountType department"
_ACCESS = "applicationCount groupCount roleCount"
_RISK = "riskId riskType severity status/risk identityName email department"

CONTEXTS: Mapping[str, str] = {
    "accessInventoryIdentitiesV2": f"{_IDENTITY} application applicationInstance {_ACCESS} authenticationMethods"
    " createdAt dormantDays isAdmin lastPasswordChangedAt mfaEnabled",
    "accessInventoryEmployeesV2": f"{_EMPLOYEE} {_ACCESS} location createdAt dormantDays mfaEnabled",
    "accessInventoryNhiV2": "identityId identityName/machine nhiType ownerName ownerEmail department application"
    " applicationInstance createdAt lastUsedAt expiresAt dormantDays isAdmin",
    "accessInventoryAccounts": f"{_ACCOUNT} application applicationInstance {_ACCESS} createdAt dormantDays isAdmin"
    " mfaEnabled",
    "accessInventoryApplicationAccountsV2": f"{_ACCOUNT} application applicationInstance applicationRole createdAt"
    " lastUsedAt dormantDays mfaEnabled",
    "accessInventoryApplicationInstancesV2": "applicationInstanceId applicationInstanceName application"
    " applicationInstance ownerName ownerEmail department accountCount/instance adminCount createdAt utilization",
    "accessInventoryGroupsV2": "groupId groupName application applicationInstance ownerName department memberCount"
    " nestedGroupCount roleCount createdAt lastUsedAt",
    "accessInventoryRolesV2": "roleId roleName application applicationInstance accountCount permissionCount"
    " isPrivileged createdAt lastUsedAt",
    "accessInventoryResourceInstancesV2": "resourceInstanceId resourceName resourceType application"
    " applicationInstance ownerName department accountCount isPublic sensitivity createdAt lastUsedAt",
    "identities": f"{_IDENTITY} status/identity createdAt dormantDays mfaEnabled",
    "employees": f"{_EMPLOYEE} location employmentType status/employee createdAt terminatedAt",
    "employeeAccessInsights": f"{_EMPLOYEE} {_ACCESS} unusedEntitlementCount riskScore mfaEnabled createdAt",
    "oleriaUsers": "userId userName email department role isActive createdAt lastSignInAt",
    "accountUtilization": f"{_ACCOUNT} dormantDays application applicationRole mfaEnabled lastUsedAt utilization"
    " createdAt",
    "groupUtilizationAccounts": "membershipId groupName accountName email department application isUsed lastUsedAt"
    " dormantDays createdAt",
    "risks": f"{_RISK} application createdAt resolvedAt",
    "risksV2": f"{_RISK} application applicationInstance riskScore createdAt resolvedAt isSuppressed",
    "riskMonitoringDetail": f"{_RISK} monitorName occurrenceCount createdAt lastSeenAt",
    "activityAnalysis": "activityId timestamp activityType activity accountName email department initiatedBy"
    " application ipAddress isSuccess",
    "identityAssessmentRiskDownload": f"{_RISK} application riskScore assessedAt",
    "identityAssessmentEntitlementUtilization": f"{_IDENTITY} entitlementName application utilization lastUsedAt"
    " assessedAt",
    "identityAssessmentResourceInstanceUtilization": "resourceInstanceId resourceName resourceType application"
    " accountCount utilization lastUsedAt assessedAt",
    "identityAssessmentSimilarGroups": "pairId groupName similarGroupName application similarity sharedMemberCount"
    " assessedAt",
    "ilmEmployeeEvents": "eventId eventType employeeName email department jobTitle effectiveAt createdAt status/event",
    "ilmWorkflowEmployeeEvents": "runId workflow step eventType employeeName email department startedAt finishedAt"
    " status/run createdAt",
}
"""The data contexts, each with its columns in order. What follows a slash selects one of several kinds of a column."""


class _Kind(NamedTuple):
    """How the values of a column are drawn; a share of ``empty`` is ``None``."""

    data_type: str
    draw: Callable[[Random, int], Value]
    empty: float = 0


def _text(choices: Sequence[str], empty: float = 0) -> _Kind:
    return _Kind("string", lambda random, _: random.choice(choices), empty)


def _enum(*choices: str, empty: float = 0) -> _Kind:
    return _Kind("enum", lambda random, _: random.choice(choices), empty)


def _number(limit: int) -> _Kind:
    """A whole number below ``limit``, more often a small one."""
    return _Kind("number", lambda random, _: int(limit * random.random() ** 2))


def _flag(share: float) -> _Kind:
    return _Kind("boolean", lambda random, _: random.random() < share)


def _moment(days: int, empty: float = 0) -> _Kind:
    """A moment in the ``days`` before the reference moment, more often a recent one."""

    def draw(random: Random, _number: int) -> Value:
        return REFERENCE_MOMENT - timedelta(seconds=1 + int(days * 86_400 * random.random() ** 2))

    return _Kind("timestamp", draw, empty)


_LABEL = _Kind("string", samples.label)
_SHARE = _Kind("number", lambda random, _: round(random.random(), 3), 0.02)

_KINDS: Mapping[str, _Kind] = {
    **dict.fromkeys(("identityName/machine", "applicationInstanceName", "groupName", "roleName"), _LABEL),
    **dict.fromkeys(("resourceName", "monitorName", "initiatedBy", "entitlementName"), _LABEL),
    "similarGroupName": _LABEL,
    **dict.fromkeys(("utilization", "similarity"), _SHARE),
    "application": _text(samples.APPLICATIONS),
    "applicationInstance": _text(samples.INSTANCES),
    "applicationRole": _text(samples.ROLES, empty=0.05),
    "authenticationMethods": _text(samples.METHODS),
    "location": _text(samples.LOCATIONS),
    "resourceType": _text(samples.RESOURCE_TYPES),
    "role": _text(samples.ROLES),
    "riskType": _text(samples.RISK_TYPES),
    "activity": _text(samples.ACTIVITIES),
    "workflow": _text(samples.WORKFLOWS),
    "step": _text(samples.STEPS),
    "ipAddress": _Kind("string", samples.ip_address, 0.05),
    "accountType": _enum("User", "Service", "Shared", "Break-glass"),
    "activityType": _enum("Authentication", "Access", "Admin"),
    "employmentType": _enum("Employee", "Contractor", "Intern"),
    "eventType": _enum("Joiner", "Mover", "Leaver"),
    "nhiType": _enum("Service account", "API key", "Token"),
    "sensitivity": _enum("Public", "Internal", "Restricted", empty=0.1),
    "severity": _enum("Critical", "High", "Medium", "Low"),
    "status/employee": _enum("Active", "On leave", "Terminated"),
    "status/event": _enum("Pending", "Processed", "Failed"),
    "status/identity": _enum("Active", "Suspended", "Deprovisioned"),
    "status/risk": _enum("Open", "Acknowledged", "Resolved"),
    "status/run": _enum("Running", "Succeeded", "Failed"),
    "accountCount": _number(2000),
    "accountCount/instance": _number(5000),
    "adminCount": _number(40),
    "applicationCount": _number(40),
    "dormantDays": _number(400),
    "groupCount": _number(60),
    "memberCount": _number(800),
    "nestedGroupCount": _number(12),
    "occurrenceCount": _number(50),
    "permissionCount": _number(300),
    "riskScore": _number(100),
    "roleCount": _number(30),
    "sharedMemberCount": _number(300),
    "unusedEntitlementCount": _number(80),
    "isActive": _flag(0.9),
    "isAdmin": _flag(0.06),
    "isPrivileged": _flag(0.15),
    "isPublic": _flag(0.02),
    "isSuccess": _flag(0.93),
    "isSuppressed": _flag(0.05),
    "isUsed": _flag(0.6),
    "mfaEnabled": _flag(0.7),
    "assessedAt": _moment(180),
    "createdAt": _moment(1500),
    "effectiveAt": _moment(180),
    "expiresAt": _moment(90, empty=0.5),
    "finishedAt": _moment(180, empty=0.1),
    "lastPasswordChangedAt": _moment(700, empty=0.2),
    "lastSeenAt": _moment(60),
    "lastSignInAt": _moment(90, empty=0.1),
    "lastUsedAt": _moment(400, empty=0.1),
    "resolvedAt": _moment(400, empty=0.6),
    "startedAt": _moment(180),
    "terminatedAt": _moment(1500, empty=0.9),
    "timestamp": _moment(90),
}

_OF_SUBJECT: Mapping[str, Callable[[samples.Subject], Value]] = {
    **dict.fromkeys(
        ("identityName", "employeeName", "accountName", "userName", "ownerName"), lambda who: who.name
    ),
    "department": lambda who: who.department,
    "identityType": lambda who: who.type,
    "jobTitle": lambda who: who.title,
}
"""The columns that describe the row's person or machine, so that they go together."""

# One for each column of the widest context, and a few to spare.
_PERIODS = (997, 1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093)


@lru_cache(maxsize=64)
def columns_of(data_context: str, seed: int, day: int = 0) -> Mapping[str, Column]:
    """The columns of a data context by name, in the order of the CSV.

    :param data_context: one of :data:`CONTEXTS`.
    :param seed: other values for another seed.
    :param day: the tenant's age in days.
    """

    def random_of(name: str) -> Random:
        return Random(f"{seed}/{data_context}/{name}")  # noqa: S311  # sample data, reproducible on purpose

    periods = iter(_PERIODS)
    random = random_of("subjects")
    subjects = [samples.subject(random, number) for number in range(next(periods))]
    columns: dict[str, Column] = {}
    for column in CONTEXTS[data_context].split():
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
            kind, random, period = _KINDS[column], random_of(name), next(periods)
            table = [
                None if random.random() < kind.empty else kind.draw(random, number)
                for number in range(period)
            ]
            # A table of labels begins with an unusual one, so that the smallest download has it.
            offset = 0 if kind is _LABEL else random.randrange(period)
            columns[name] = Column(name, kind.data_type, table, offset, day)
    return columns
