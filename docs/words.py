"""Find words that this project does not use, in code, messages and pages: ``python docs/words.py [PATH…]``.

Each has a plainer word beside it. The exit status is 1 if any is found. ``_`` separates words, so names are read too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = (".ci", ".github", "airflow_provider_oleria", "benchmarks", "demo", "docs", "example_dags", "tests")
FILES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "mkdocs.yml",
    "noxfile.py",
    "pyproject.toml",
)
LISTS = (ROOT / "docs/words.py", ROOT / "tests/docs/test_words.py")  # they name the words
SUFFIXES = {"", ".jinja", ".md", ".py", ".toml", ".yml"}

# What goes (a regular expression) → what comes.
WORDS = {
    "stands|stood": "is, the previous file",
    "tells|told|says": "receives, returns, reports",
    "whoever|somebody|nobody|those who": "the caller, another task, no caller",
    "go(?:es|ing)? on|went on": "resume, continue",
    "anew": "again",
    "for ever": "indefinitely",
    "besides": "also",
    "herein": "–",
    r"meanwhile(?=[.;:)\n])": "–",
    "mend(?:s|ed|ing)?": "fix, recover",
    "harmless": "best effort",
    "of (?:no )?use": "usable, unusable",
    "patience": "retry budget",
    "asked for": "requested",
    "ask(?:s|ed|ing)? after": "polls",
    "questions?": "request, poll",
    "home|face|house": "–",
    "answer is none|none to be had": "the answer is not …, no … could be obtained",
    "so many (?:seconds|bytes|rows)": "``seconds`` seconds",
}

# Where such a word is the thing's own name.
ALLOWED = (
    r"AIRFLOW_HOME|\bHOME\b|Homepage|Path\.home\(\)|(?:param|as) home:|home: (?:Path|str)|= home\b",
    r"\bNOBODY\b",  # the user of Unix
    r"[/(=.]home\b|\bhome(?=[/},)=]|\.[a-z]| [/=] )",  # AIRFLOW_HOME as a variable in code
)

_WORDS = {
    re.compile(f"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])".replace(" ", r"[\s_#]+"), re.IGNORECASE): plainer
    for pattern, plainer in WORDS.items()
}
_ALLOWED = re.compile("|".join(ALLOWED))


def files(paths: list[str]) -> Iterator[Path]:
    """The files to read: those named, or all of the project."""
    for path in map(Path, paths) if paths else (ROOT / name for name in (*FOLDERS, *FILES)):
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (
            file
            for file in found
            if file.suffix in SUFFIXES and file.resolve() not in LISTS and file.is_file()
        )


def findings(file: Path) -> list[str]:
    """One line for each word found in ``file``, in order."""
    text = file.read_text(encoding="utf-8")
    allowed = [match.span() for match in _ALLOWED.finditer(text)]
    found = [
        (match.start(), f"{match[0]!r} → {plainer}")
        for word, plainer in _WORDS.items()
        for match in word.finditer(text)
        if not any(start <= match.start() < end for start, end in allowed)
    ]
    return [f"{file}:{text.count(chr(10), 0, at) + 1}: {what}" for at, what in sorted(found)]


def main(paths: list[str]) -> int:
    """Print what is found; the result is the exit status."""
    lines = [line for file in files(paths) for line in findings(file)]
    print("\n".join(lines) if lines else "no word to replace")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
