"""The values the made-up data is drawn from. Every name, address and application is invented."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

APPLICATIONS = (
    *("Directory", "Mail", "Calendar", "Chat", "Wiki", "Ticketing", "Source Control", "Build Farm"),
    *("Data Warehouse", "Payroll", "Expenses", "Customer Records", "Contract Archive", "Object Store", "VPN"),
)
INSTANCES = ("production", "staging", "emea", "amer", "apac", "sandbox")
DEPARTMENTS = (
    *("Engineering", "Sales", "Finance", "Legal", "Marketing", "People", "Support", "Security"),
    "Research & Development",
)
TITLES = (
    "Analyst",
    "Engineer",
    "Senior Engineer",
    "Manager",
    "Director",
    "Counsel",
    "Recruiter",
    "Accountant",
)
LOCATIONS = ("Berlin", "Lisbon", "Nairobi", "Osaka", "São Paulo", "Seattle", "Zürich")
METHODS = ("password", "password; totp", "password; push", "passkey", "sso", "sso; passkey", "api key")
ROLES = ("Viewer", "Editor", "Owner", "Administrator", "Auditor", "Billing", "Deployer", "Support Agent")
RESOURCE_TYPES = ("Bucket", "Database", "Repository", "Folder", "Queue", "Dashboard")
RISK_TYPES = (
    *("Dormant account", "Excessive privilege", "MFA not enabled", "Orphaned account"),
    *("Stale credential", "Toxic combination"),
)
ACTIVITIES = (
    *("Signed in", "Sign-in failed", "Role granted", "Role revoked", "Group joined", "Group left"),
    *("Password changed", "File shared", "Token created"),
)
WORKFLOWS = ("Onboard", "Offboard", "Change department", "Extended leave", "Return from leave")
STEPS = ("Create account", "Assign groups", "Remove groups", "Suspend account", "Notify manager")

_FIRST = (
    *("Ada", "Bao", "Carla", "Dmitri", "Elif", "Femi", "Grace", "Hiro", "Ines", "Jonas", "Kavya", "Lucía"),
    *("Mehmet", "Nadia", "Olu", "Petra", "Quentin", "Rosa", "Samir", "Tove", "Uma", "Viktor", "Wen", "Yara"),
)
_LAST = (
    *("Abebe", "Brandt", "Castro", "Dubois", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jansen"),
    *("Kowalski", "Lindgren", "Moreau", "Nguyen", "Okafor", "Pereira", "Quispe", "Rossi", "Sato", "Tanaka"),
    *("Usman", "Varga", "Weber", "Yilmaz", "Zhou"),
)
_TEAMS = ("platform", "payments", "insights", "mobile", "growth", "infra", "compliance", "helpdesk")
_USES = ("admins", "readers", "writers", "oncall", "contractors", "deployers", "reviewers", "leads")

_ODD_EVERY = 50
_ODDITIES = (
    'O\'Neill, "Bo"\n(née Ødegård), Jr.',
    "Zoë Müller-Łukasz",
    "Brandt, Petra",
    'Wen "Wendy" Zhou',
    "Two\nlines",
    "山田 太郎, 東京",
    '"quoted"',
    "Émoji 🚀, comma",
)
"""What a CSV reader must be able to take: commas, quotes, line ends, letters beyond ASCII."""


@dataclass(frozen=True)
class Subject:
    """Who or what a row is about, so that its name, address and department go together."""

    name: str
    local_part: str
    type: str
    department: str | None
    title: str | None


def subject(random: Random, number: int) -> Subject:
    """A person, or now and then a machine.

    :param random: the source of chance.
    :param number: its place in the table; one in 50 has an odd name.
    """
    department = random.choice(DEPARTMENTS)
    if random.random() < 0.15:
        name = f"svc-{random.choice(_TEAMS)}-{random.choice(_USES)}"
        return Subject(_odd_at(number) or name, name, "Machine", department, None)
    first, last = random.choice(_FIRST), random.choice(_LAST)
    plain = f"{first}.{last}".lower().replace("í", "i")
    return Subject(
        _odd_at(number) or f"{first} {last}",
        plain,
        "User",
        # Some have none: a contractor, a record half filled in.
        None if random.random() < 0.03 else department,
        random.choice(TITLES),
    )


def label(random: Random, number: int) -> str:
    """The name of a group, role or resource; one in 50 is odd."""
    return _odd_at(number) or f"{random.choice(_TEAMS)}-{random.choice(_USES)}-{random.randrange(100):02}"


def ip_address(random: Random, _number: int) -> str:
    """An address out of the ranges reserved for documentation (RFC 5737)."""
    return f"{random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{random.randrange(1, 255)}"


def _odd_at(number: int) -> str | None:
    times, rest = divmod(number, _ODD_EVERY)
    return _ODDITIES[times % len(_ODDITIES)] if rest == 0 else None
