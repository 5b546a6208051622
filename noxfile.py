"""The tests on every supported Airflow: `make test-matrix`, which writes its results into docs/versions.md.

A Python that is not there and that uv cannot download is skipped.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import nox

nox.options.default_venv_backend = "uv"

CLONE = Path(__file__).parent
CONSTRAINTS = CLONE / "tests" / "constraints"
RESULTS = CONSTRAINTS / "results.json"
VERSIONS = CLONE / "docs" / "versions.md"
EXTRAS = ".[parquet,zstd,s3,openlineage]"
PATHS = ["tests/unit", "tests/hook", "tests/transfer"]

# Airflow 2.11 does not work with universal-pathlib 0.3, which its constraints exclude and its metadata do not.
# Without a limit, newer releases of what Airflow brings raise aiohttp above its lowest version.
LOWEST = ["--resolution", "lowest-direct", "universal-pathlib<0.3", "aiohttp<3.12"]

# Airflow 3.2.2 runs no task with later ones, which its metadata admits.
ADMITTED = {"3.2.2": ["fastapi<0.156", "svcs<26.2"]}

CONSTRAINED = ["2.11.0", "2.11.2", "3.0.6", "3.1.6", "3.2.1", "3.3.1"]
NEWEST = {
    "3.1.8": ["3.11", "3.12", "3.13"],
    "3.2.2": ["3.11", "3.12", "3.13", "3.14"],
    "3.3.2": ["3.11", "3.12", "3.13", "3.14"],
}


def row(python: str | None, airflow: str, libraries: str, *tags: str) -> object:
    name = "-".join(part for part in (airflow, libraries, python) if part)
    return nox.param(python, airflow, libraries, id=name, tags=tags)


ROWS = [
    row("3.12", "2.11.0", "constraints", "ends"),
    *(row("3.12", airflow, "constraints") for airflow in CONSTRAINED[1:]),
    *(row(python, airflow, "newest") for airflow, pythons in NEWEST.items() for python in pythons),
    row("3.12", "2.11.0", "lowest", "lowest"),
    row("3.13", "3.3.3", "pre-releases", "pre"),
]


def libraries_of(airflow: str, libraries: str) -> list[str]:
    """What to install beside the package, as arguments of ``uv pip install``."""
    match libraries:
        case "constraints":
            return [
                f"apache-airflow=={airflow}",
                "--constraints",
                str(CONSTRAINTS / f"airflow-{airflow}.txt"),
            ]
        case "lowest":
            return [f"apache-airflow=={airflow}", *LOWEST]
        case "pre-releases":
            return [f"apache-airflow>={airflow}", "--prerelease", "allow"]
        case _:
            return [f"apache-airflow=={airflow}", *ADMITTED.get(airflow, [])]


@nox.session
@nox.parametrize("python,airflow,libraries", ROWS)
def tests(session: nox.Session, airflow: str, libraries: str) -> None:
    """`airflow providers`, the demo and the tests; after ``--``: other tests, recorded if whole paths of PATHS."""
    report = Path(session.create_tmp()) / "results.xml"
    session.install("--group", "test", "--editable", EXTRAS, *libraries_of(airflow, libraries))
    see_provider(session)
    session.run("python", "demo/run.py")
    paths = session.posargs or PATHS
    session.run("pytest", "--numprocesses=2", f"--junitxml={report}", *paths, success_codes=[0, 1])
    counts = count(report)
    if set(paths) <= set(PATHS):
        version = session.run(
            "python",
            "-c",
            "from importlib.metadata import version; print(version('apache-airflow'))",
            silent=True,
        )
        record(f"{version.strip()} {libraries} {session.python}", counts)
    if failed := sum(result["failed"] for result in counts.values()):
        message = f"{failed} tests failed"
        session.warn(message) if libraries == "pre-releases" else session.error(message)


# The oldest Airflow runs on Python 3.12 at most. None: the Python that runs nox.
OLDEST_PYTHON = "3.12" if sys.version_info >= (3, 13) else None


@nox.session
@nox.parametrize(
    "python,airflow,libraries", [row(OLDEST_PYTHON, "2.11.0", "constraints"), row(None, "3.3.2", "newest")]
)
def wheel(session: nox.Session, airflow: str, libraries: str) -> None:
    """The wheel in dist/, alone in a new environment, runs the demo."""
    (file,) = (CLONE / "dist").glob("*.whl")
    session.install(str(file), *libraries_of(airflow, libraries))
    see_provider(session)
    session.run("python", "demo/run.py")


def see_provider(session: nox.Session) -> None:
    """Airflow finds the package, its hook and its triggers."""
    for listed, expected in {
        "list": "airflow-provider-oleria",
        "hooks": "airflow_provider_oleria.hooks",
        "triggers": "airflow_provider_oleria.triggers",
    }.items():
        output = session.run(
            "airflow",
            "providers",
            listed,
            "--output",
            "json",
            env={"AIRFLOW_HOME": str(Path(session.create_tmp()).absolute())},
            silent=True,
        )
        if expected not in output:
            session.error(f"airflow providers {listed} does not list {expected}:\n{output}")


# What an extra is for: the filesystem of a store, or a library.
MODULES = {
    "s3": "airflow.providers.amazon.aws.fs.s3, s3fs",
    "gcs": "airflow.providers.google.cloud.fs.gcs, gcsfs",
    "azure": "airflow.providers.microsoft.azure.fs.adls, adlfs",
    "sftp": "airflow.providers.sftp.fs.sftp, sshfs",
    "openlineage": "airflow.providers.openlineage.extractors",
    "parquet": "pyarrow.parquet",
    "zstd": "zstandard",
}


@nox.session(python="3.12")
@nox.parametrize("extra", [*MODULES, "all"])
def extras(session: nox.Session, extra: str) -> None:
    """Each extra can be installed under the constraints of both ends, and brings what it is for."""
    for airflow in (CONSTRAINED[0], CONSTRAINED[-1]):
        session.install(f".[{extra}]", *libraries_of(airflow, "constraints"))
        for name, modules in MODULES.items():
            # The SFTP provider that Airflow 2.11.0 pins has no filesystem.
            if extra in (name, "all") and (name, airflow) != ("sftp", CONSTRAINED[0]):
                session.run("python", "-c", f"import {modules}")


@nox.session(python=False)
def report(session: nox.Session) -> None:
    """Write the results into docs/versions.md."""
    begin, end = "<!-- results -->\n", "<!-- end of results -->"
    before, _, rest = VERSIONS.read_text().partition(begin)
    after = rest.partition(end)[2]
    VERSIONS.write_text(f"{before}{begin}{table()}{end}{after}")


def count(report: Path) -> dict[str, dict[str, int]]:
    """What pytest reports, for each folder of tests."""
    counts: dict[str, dict[str, int]] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # pytest wrote it
        folder = case.attrib["classname"].split(".")[1]
        result = counts.setdefault(folder, {"passed": 0, "failed": 0})
        if case.find("failure") is not None or case.find("error") is not None:
            result["failed"] += 1
        elif case.find("skipped") is None:
            result["passed"] += 1
    return counts


def record(name: str, counts: dict[str, dict[str, int]]) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    row = results.setdefault(name, {})
    row.update(counts)
    row["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def table() -> str:
    folders = [Path(path).name for path in PATHS]
    lines = [
        f"| Airflow | libraries | Python | {' | '.join(folders)} | on |",
        "| --- | --- | --- |" + " ---: |" * len(folders) + " --- |",
    ]
    results = json.loads(RESULTS.read_text())
    for name in sorted(results, key=lambda name: (name.split()[1], name)):
        cells = [outcome(results[name].get(folder)) for folder in folders]
        lines.append(f"| {' | '.join([*name.split(), *cells, results[name]['date']])} |")
    return "\n".join(lines) + "\n"


def outcome(result: dict[str, int] | None) -> str:
    if result is None:
        return "–"
    return f"{result['passed']} passed" + (f", {result['failed']} failed" if result["failed"] else "")
