"""Ours against ``curl -o`` and plain ``requests`` loops, on one machine in one run: ``make bench-transfer``.

Every transfer is a process of its own. The contenders take turns, so that other load on the machine affects all of
them. Wall, CPU and peak memory are those of the transfer beyond an idle process that had imported its libraries (for
curl: of its whole process). Our file is compared with the one served.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nginx import serving

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"

SIZES = {"10MB": 10_000_000, "1GB": 1_000_000_000, "4GB": 4_000_000_000}
RATE = 25_000_000
LINES = {"unlimited": "unlimited", "25MB/s": "limited"}
CONTENDERS = {
    "curl -o": "curl",
    "requests, 64 KiB": f"requests:{64 * 1024}",
    "requests, 1 MiB": f"requests:{1024 * 1024}",
    "ours": "ours",
}

TABLE_HEAD = (
    "| file | line | | wall, min (median), s | × curl's wall | CPU, median, s | × curl's CPU | peak memory, MiB |",
    "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
)

Figures = dict[tuple[str, str], list[str]]
"""The table's rows, by file and line."""


@dataclass(frozen=True)
class Run:
    """One transfer.

    :param seconds: wall time.
    :param cpu: user and system, in seconds.
    :param peak: of resident memory, in MiB; ``None`` for curl, which does not report it.
    """

    seconds: float
    cpu: float
    peak: float | None


def main() -> None:
    """Measure and print; ``--write`` stores the table."""
    options = _options()
    if (load := os.getloadavg()[0]) > (os.cpu_count() or 1) / 2:
        print(f"Warning: the machine is busy (load {load:.1f}).", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-transfer-", dir=options.folder) as name:
        figures = {
            (size, line): _figures(size, line, runs) for size, line, runs in _measured(Path(name), options)
        }
    print(_section(_heading(options), figures))
    if options.write:
        _write(_heading(options), figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--lines", nargs="+", choices=LINES, default=list(LINES))
    parser.add_argument("--repeat", type=int, default=5, help="runs of each contender on the unlimited line")
    parser.add_argument(
        "--repeat-limited", type=int, default=1, help="and on the limited one, which varies little"
    )
    parser.add_argument("--folder", help="where to put the files, about twice the largest size")
    parser.add_argument("--write", action="store_true", help=f"store the results in {DOCUMENT.name}")
    return parser.parse_args()


def _measured(home: Path, options: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, list[Run]]]]:
    source, target, server = (home / name for name in ("source", "target", "nginx"))
    for folder in (source, target, server):
        folder.mkdir()
    home.chmod(0o755)
    environment = os.environ | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    with serving(source, server, RATE) as url:
        for size in options.sizes:
            file = source / "source.csv"
            expected = _output([sys.executable, HERE / "source.py", file, str(SIZES[size])])
            for line in options.lines:
                repeat = options.repeat if line == "unlimited" else options.repeat_limited
                runs: dict[str, list[Run]] = defaultdict(list)
                for _ in range(repeat):
                    for name, contender in CONTENDERS.items():
                        print(f"{size}, {line}: {name}", file=sys.stderr)
                        link = f"{url}/{LINES[line]}/{file.name}"
                        runs[name].append(_run(contender, environment, link, target / "target.csv", expected))
                yield size, line, runs


def _run(
    contender: str, environment: dict[str, str], url: str, target: Path, expected: dict[str, Any]
) -> Run:
    if contender == "curl":
        curl = shutil.which("curl") or sys.exit("The benchmark needs curl.")
        command = [curl, "--silent", "--fail", "--output", target, url]
    else:
        command = [sys.executable, HERE / "contender.py", contender, url, target]
    os.sync()  # data of earlier runs must not slow this one
    started = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, env=environment)
    assert child.stdout
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    took = {"seconds": time.perf_counter() - started, "cpu": usage.ru_utime + usage.ru_stime}
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{contender} failed with {child.returncode}")
    report = took | {"size_bytes": target.stat().st_size}
    if contender != "curl":
        report |= json.loads(said.splitlines()[-1])
    target.unlink()
    if wrong := {key for key in expected.keys() & report.keys() if report[key] != expected[key]}:
        sys.exit(f"{contender} saved {report} where {expected} was served: {wrong} differ")
    return Run(report["seconds"], report["cpu"], report["peak_kib"] / 1024 if "peak_kib" in report else None)


def _output(command: list[Any]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout
    )
    return result


def _heading(options: argparse.Namespace) -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({_processor()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, {_curl_version()}. Unlimited: {options.repeat} runs; "
        f"25 MB/s per connection: {options.repeat_limited}."
    )


def _figures(size: str, line: str, runs: dict[str, list[Run]]) -> list[str]:
    """A row of the table for each contender."""
    curl = runs["curl -o"]
    rows = []
    for name, own in runs.items():
        wall, cpu = [run.seconds for run in own], _median_cpu(own)
        peaks = [run.peak for run in own if run.peak is not None]
        rows.append(
            f"| {size} | {line} | {name} | {min(wall):.2f} ({statistics.median(wall):.2f}) "
            f"| {min(wall) / min(run.seconds for run in curl):.2f} | {cpu:.2f} "
            f"| {cpu / max(_median_cpu(curl), 0.01):.1f} | {f'{max(peaks):.0f}' if peaks else '–'} |"
        )
    return rows


def _section(heading: str, figures: Figures) -> str:
    cases = [(size, line) for size in SIZES for line in LINES]
    return "\n".join([heading, "", *TABLE_HEAD, *(row for case in cases for row in figures.get(case, []))])


def _median_cpu(runs: list[Run]) -> float:
    return statistics.median(run.cpu for run in runs)


def _processor() -> str:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return models[0].partition(": ")[2] if models else platform.machine()


def _curl_version() -> str:
    curl = shutil.which("curl") or sys.exit("The benchmark needs curl.")
    text = subprocess.run([curl, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return " ".join(text.split()[:2])


def _write(heading: str, figures: Figures) -> None:
    """Replace the figures of this run in the document; keep those of other files and lines."""
    before, mark, after = DOCUMENT.read_text().partition("<!-- figures -->\n")
    old, following, rest = after.partition("\n## ")
    kept: Figures = defaultdict(list)
    for row in old.splitlines():
        _, *cells = [cell.strip() for cell in row.split("|")]
        if cells and (case := (cells[0], cells[1])) not in figures:
            kept[case].append(row)
    DOCUMENT.write_text(f"{before}{mark}\n{_section(heading, kept | figures)}\n{following}{rest}")


if __name__ == "__main__":
    main()
