"""How the columns of a data context are made: a recipe for each kind of column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TypeAlias

from airflow_provider_oleria.sandbox import samples
from airflow_provider_oleria.sandbox.columns import (
    REFERENCE_MOMENT,
    Column,
    NumberedColumn,
    TableColumn,
    Value,
    cyclic,
)
from airflow_provider_oleria.sandbox.days import CHANGING

# One for each column of the widest context, and a few to spare.
_PERIODS = (997, 1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093)


@dataclass
class Maker:
    """Makes the columns of one data context out of one seed.

    :param seed: names the sandbox's seed and the data context.
    :param day: how many days have passed.
    """

    seed: str
    day: int = 0
    subjects: Sequence[samples.Subject] = field(init=False)

    def __post_init__(self) -> None:
        random = self._random("subjects")
        self._periods = iter(_PERIODS)
        self.subjects = [samples.subject(random, number) for number in range(next(self._periods))]

    def _random(self, name: str) -> Random:
        return Random(f"{self.seed}/{name}")  # noqa: S311  # sample data, reproducible on purpose

    def drawn(self, name: str, data_type: str, draw: Callable[[Random, int], Value], empty: float) -> Column:
        random, period = self._random(name), next(self._periods)
        table = [None if random.random() < empty else draw(random, number) for number in range(period)]
        # Names start with an odd one (see samples), so that the smallest export has it; the rest starts anywhere.
        offset = 0 if draw is samples.label else random.randrange(period)
        return TableColumn(name, data_type, table, offset, self.day if name in CHANGING else 0)

    def identifier(self, name: str) -> Column:
        stem = f"{self._random(name).getrandbits(32):08x}-0000-4000-8000-"
        return NumberedColumn(name, cyclic([stem], 0), "012x")

    def address(self, name: str) -> Column:
        stems = [f"{subject.local_part}." for subject in self.subjects]
        return NumberedColumn(name, cyclic(stems, 0), tail="@example.com")

    def of_subject(self, name: str, data_type: str, read: Callable[[samples.Subject], Value]) -> Column:
        return TableColumn(name, data_type, [read(subject) for subject in self.subjects])


Recipe: TypeAlias = Callable[[Maker], Column]


def identifier(name: str) -> Recipe:
    """A UUID, different in every row."""
    return lambda make: make.identifier(name)


def email(name: str = "email") -> Recipe:
    """The subject's address, different in every row."""
    return lambda make: make.address(name)


def who(name: str) -> Recipe:
    """The subject's name."""
    return lambda make: make.of_subject(name, "string", lambda subject: subject.name)


def label(name: str) -> Recipe:
    """The name of a group, a role or a resource."""
    return lambda make: make.drawn(name, "string", samples.label, 0)


def text(name: str, choices: Sequence[str], empty: float = 0) -> Recipe:
    """One of the given texts."""
    return lambda make: make.drawn(name, "string", lambda random, _: random.choice(choices), empty)


def enum(name: str, *choices: str, empty: float = 0) -> Recipe:
    """One of the given choices."""
    return lambda make: make.drawn(name, "enum", lambda random, _: random.choice(choices), empty)


def number(name: str, highest: int, empty: float = 0) -> Recipe:
    """A whole number below ``highest``, more often a small one."""
    return lambda make: make.drawn(
        name, "number", lambda random, _: int(highest * random.random() ** 2), empty
    )


def share(name: str) -> Recipe:
    """A number between 0 and 1."""
    return lambda make: make.drawn(name, "number", lambda random, _: round(random.random(), 3), 0.02)


def flag(name: str, likely: float, empty: float = 0) -> Recipe:
    """True as often as ``likely`` says."""
    return lambda make: make.drawn(name, "boolean", lambda random, _: random.random() < likely, empty)


def moment(name: str, days: int, empty: float = 0) -> Recipe:
    """A moment in the ``days`` before the reference moment."""

    def draw(random: Random, _number: int) -> Value:
        # More of the recent ones, so that ``last 7d`` finds some.
        return REFERENCE_MOMENT - timedelta(seconds=1 + int(days * 86_400 * random.random() ** 2))

    return lambda make: make.drawn(name, "timestamp", draw, empty)


def ip(name: str) -> Recipe:
    """An IP address."""
    return lambda make: make.drawn(name, "string", samples.ip_address, 0.05)


def identity_type(make: Maker) -> Column:
    """Whether the subject is a person or a machine."""
    return make.of_subject("identityType", "enum", lambda subject: subject.type)


def job_title(make: Maker) -> Column:
    """The subject's title; machines have none."""
    return make.of_subject("jobTitle", "string", lambda subject: subject.title)


def department(make: Maker) -> Column:
    """The subject's department."""
    return make.of_subject("department", "string", lambda subject: subject.department)
