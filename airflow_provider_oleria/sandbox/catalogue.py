"""Which columns each data context has.

Oleria's field names per context are not published. These follow the vendor's published screens and its one published
example (``department`` and ``createdAt`` of the identities): realistic, not authoritative.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.sandbox.columns import Column
from airflow_provider_oleria.sandbox.recipes import (
    Maker,
    Recipe,
    department,
    email,
    enum,
    flag,
    identifier,
    identity_type,
    ip,
    job_title,
    label,
    moment,
    number,
    share,
    text,
    who,
)
from airflow_provider_oleria.sandbox.samples import (
    ACTIVITIES,
    APPLICATIONS,
    INSTANCES,
    LOCATIONS,
    METHODS,
    RESOURCE_TYPES,
    RISK_TYPES,
    ROLES,
    STEPS,
    WORKFLOWS,
)

_application = text("application", APPLICATIONS)
_instance = text("applicationInstance", INSTANCES)
_role = text("applicationRole", ROLES, empty=0.05)
_dormant = number("dormantDays", 400)
_created = moment("createdAt", 1500)
_used = moment("lastUsedAt", 400, empty=0.1)
_mfa = flag("mfaEnabled", 0.7)
_admin = flag("isAdmin", 0.06)
_account_type = enum("accountType", "User", "Service", "Shared", "Break-glass")
_severity = enum("severity", "Critical", "High", "Medium", "Low")
_status = enum("status", "Open", "Acknowledged", "Resolved")
_assessed = moment("assessedAt", 180)
_access = (number("applicationCount", 40), number("groupCount", 60), number("roleCount", 30))
_activity_type = enum("activityType", "Authentication", "Access", "Admin")
_event_type = enum("eventType", "Joiner", "Mover", "Leaver")

_IDENTITY = (identifier("identityId"), who("identityName"), email(), identity_type, department)
_EMPLOYEE = (identifier("employeeId"), who("employeeName"), email(), department, job_title)
_ACCOUNT = (identifier("accountId"), who("accountName"), email(), _account_type, department)
_RISK = (identifier("riskId"), text("riskType", RISK_TYPES), _severity, _status, who("identityName"), email())

_RECIPES: Final[Mapping[DataContext, tuple[Recipe, ...]]] = {
    DataContext.ACCESS_INVENTORY_IDENTITIES: (
        *(*_IDENTITY, _application, _instance, *_access, text("authenticationMethods", METHODS)),
        *(_created, _dormant, _admin, moment("lastPasswordChangedAt", 700, empty=0.2), _mfa),
    ),
    DataContext.ACCESS_INVENTORY_EMPLOYEES: (
        *(*_EMPLOYEE, *_access, text("location", LOCATIONS), _created, _dormant, _mfa),
    ),
    DataContext.ACCESS_INVENTORY_NHI: (
        *(identifier("identityId"), label("identityName")),
        *(enum("nhiType", "Service account", "API key", "Token"),),
        *(who("ownerName"), email("ownerEmail"), department, _application, _instance, _created, _used),
        *(moment("expiresAt", 90, empty=0.5), _dormant, _admin),
    ),
    DataContext.ACCESS_INVENTORY_ACCOUNTS: (
        *(*_ACCOUNT, _application, _instance, *_access, _created, _dormant, _admin, _mfa),
    ),
    DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS: (
        *(*_ACCOUNT, _application, _instance, _role, _created, _used, _dormant, _mfa),
    ),
    DataContext.ACCESS_INVENTORY_APPLICATION_INSTANCES: (
        *(identifier("applicationInstanceId"), label("applicationInstanceName"), _application, _instance),
        *(who("ownerName"), email("ownerEmail"), department, number("accountCount", 5000)),
        *(number("adminCount", 40), _created, share("utilization")),
    ),
    DataContext.ACCESS_INVENTORY_GROUPS: (
        *(identifier("groupId"), label("groupName"), _application, _instance, who("ownerName"), department),
        *(number("memberCount", 800), number("nestedGroupCount", 12), number("roleCount", 30)),
        *(_created, _used),
    ),
    DataContext.ACCESS_INVENTORY_ROLES: (
        *(identifier("roleId"), label("roleName"), _application, _instance, number("accountCount", 2000)),
        *(number("permissionCount", 300), flag("isPrivileged", 0.15), _created, _used),
    ),
    DataContext.ACCESS_INVENTORY_RESOURCE_INSTANCES: (
        *(identifier("resourceInstanceId"), label("resourceName"), text("resourceType", RESOURCE_TYPES)),
        *(_application, _instance, who("ownerName"), department, number("accountCount", 2000)),
        *(flag("isPublic", 0.02), enum("sensitivity", "Public", "Internal", "Restricted", empty=0.1)),
        *(_created, _used),
    ),
    DataContext.IDENTITIES: (
        *(*_IDENTITY, enum("status", "Active", "Suspended", "Deprovisioned"), _created, _dormant, _mfa),
    ),
    DataContext.EMPLOYEES: (
        *(*_EMPLOYEE, text("location", LOCATIONS)),
        *(enum("employmentType", "Employee", "Contractor", "Intern"),),
        *(enum("status", "Active", "On leave", "Terminated"), _created),
        *(moment("terminatedAt", 1500, empty=0.9),),
    ),
    DataContext.EMPLOYEE_ACCESS_INSIGHTS: (
        *(*_EMPLOYEE, *_access, number("unusedEntitlementCount", 80)),
        *(number("riskScore", 100), _mfa, _created),
    ),
    DataContext.OLERIA_USERS: (
        *(identifier("userId"), who("userName"), email()),
        *(department, text("role", ROLES), flag("isActive", 0.9)),
        *(_created, moment("lastSignInAt", 90, empty=0.1)),
    ),
    DataContext.ACCOUNT_UTILIZATION: (
        *_ACCOUNT,
        _dormant,
        _application,
        _role,
        _mfa,
        _used,
        share("utilization"),
        _created,
    ),
    DataContext.GROUP_UTILIZATION_ACCOUNTS: (
        *(identifier("membershipId"), label("groupName"), who("accountName")),
        *(email(), department, _application),
        *(flag("isUsed", 0.6), _used, _dormant, _created),
    ),
    DataContext.RISKS: (*_RISK, department, _application, _created, moment("resolvedAt", 400, empty=0.6)),
    DataContext.RISKS_V2: (
        *(*_RISK, department, _application, _instance, number("riskScore", 100), _created),
        *(moment("resolvedAt", 400, empty=0.6), flag("isSuppressed", 0.05)),
    ),
    DataContext.RISK_MONITORING_DETAIL: (
        *(*_RISK, department, label("monitorName")),
        *(number("occurrenceCount", 50), _created, moment("lastSeenAt", 60)),
    ),
    DataContext.ACTIVITY_ANALYSIS: (
        *(identifier("activityId"), moment("timestamp", 90), _activity_type),
        *(text("activity", ACTIVITIES), who("accountName"), email(), department, label("initiatedBy")),
        *(_application, ip("ipAddress"), flag("isSuccess", 0.93)),
    ),
    DataContext.IDENTITY_ASSESSMENT_RISK_DOWNLOAD: (
        *_RISK,
        department,
        _application,
        number("riskScore", 100),
        _assessed,
    ),
    DataContext.IDENTITY_ASSESSMENT_ENTITLEMENT_UTILIZATION: (
        *(*_IDENTITY, label("entitlementName"), _application, share("utilization"), _used, _assessed),
    ),
    DataContext.IDENTITY_ASSESSMENT_RESOURCE_INSTANCE_UTILIZATION: (
        *(identifier("resourceInstanceId"), label("resourceName")),
        *(text("resourceType", RESOURCE_TYPES), _application),
        *(number("accountCount", 2000), share("utilization"), _used, _assessed),
    ),
    DataContext.IDENTITY_ASSESSMENT_SIMILAR_GROUPS: (
        *(identifier("pairId"), label("groupName"), label("similarGroupName")),
        *(_application, share("similarity")),
        *(number("sharedMemberCount", 300), _assessed),
    ),
    DataContext.ILM_EMPLOYEE_EVENTS: (
        *(identifier("eventId"), _event_type, who("employeeName"), email(), department, job_title),
        *(moment("effectiveAt", 180), _created, enum("status", "Pending", "Processed", "Failed")),
    ),
    DataContext.ILM_WORKFLOW_EMPLOYEE_EVENTS: (
        *(identifier("runId"), text("workflow", WORKFLOWS), text("step", STEPS)),
        *(_event_type, who("employeeName")),
        *(email(), department, moment("startedAt", 180), moment("finishedAt", 180, empty=0.1)),
        *(enum("status", "Running", "Succeeded", "Failed"), _created),
    ),
}


@lru_cache(maxsize=64)
def columns_of(data_context: DataContext, seed: int, day: int = 0) -> Mapping[str, Column]:
    """The columns of a data context by name, in the order of the CSV.

    :param data_context: one that Oleria has published.
    :param seed: other values for another seed.
    :param day: how many days have passed.
    """
    maker = Maker(f"{seed}/{data_context}", day)
    return {column.name: column for column in (recipe(maker) for recipe in _RECIPES[data_context])}
