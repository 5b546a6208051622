"""Is in dist/ what belongs there? Run by `make dist`."""

from __future__ import annotations

import os
import re
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
DIST = CLONE / "dist"


def main() -> int:
    (wheel,) = DIST.glob("*.whl")
    (sdist,) = DIST.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = message_from_bytes(
            archive.read(next(name for name in names if name.endswith(".dist-info/METADATA")))
        )
    with tarfile.open(sdist) as archive:
        source = [name.partition("/")[2] for name in archive.getnames()]
    modules = {str(path.relative_to(CLONE)) for path in (CLONE / "airflow_provider_oleria").rglob("*.py")}
    problems = [
        *(f"{wheel.name} lacks {name}" for name in modules - set(names)),
        *(f"{sdist.name} lacks {name}" for name in (modules | {"README.md", "LICENSE"}) - set(source)),
        *(
            f"{wheel.name} has {name}"
            for name in names
            if not name.startswith(
                ("airflow_provider_oleria/", f"airflow_provider_oleria-{metadata['Version']}.dist-info/")
            )
        ),
        *(f"{sdist.name} has {name}" for name in source if name.startswith(("tests", "demo", "benchmarks"))),
    ]
    if "airflow_provider_oleria/py.typed" not in names:
        problems.append(f"{wheel.name} lacks py.typed")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        problems.append(f"{wheel.name} lacks the licence")
    if f"## [{metadata['Version']}]" not in (CLONE / "CHANGELOG.md").read_text():
        problems.append(f"CHANGELOG.md lacks version {metadata['Version']}")
    links = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    if os.environ.get("REPOSITORY_URL"):
        problems += [
            f"README.md: {link} is dead on PyPI" for link in links if not link.startswith(("https:", "#"))
        ]
    else:
        print(
            "REPOSITORY_URL is not set: the links of README.md are relative, and dead on PyPI.",
            file=sys.stderr,
        )
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
