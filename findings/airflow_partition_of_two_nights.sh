#!/usr/bin/env bash
# Airflow: with a run_offset, CronPartitionTimetable gives two nights one partition when summer time begins.
#
# The good guess: run_offset=-1 gives each run the partition of the day before, so each day has one partition.
# What happens: of a schedule in the hour that is skipped, the run of 29 March 2026 in Berlin (at 03:30) has the partition of
# its own day, and the run of 30 March has the same. No run has the partition of 28 March. A DAG that writes one file for
# each partition loses a night. Without run_offset, or outside of that hour, each run has a partition of its own.
# Seen on 2026-11-28 with the version below.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apache-airflow==3.3.2
cd "$folder" && export AIRFLOW_HOME="$folder/airflow" AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING && venv/bin/python - <<'PY'
import pendulum
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable


def partitions(cron, run_offset):
    """The day of the partition of each run from 27 to 31 March."""
    timetable = CronPartitionTimetable(cron, timezone="Europe/Berlin", run_offset=run_offset)
    restriction = TimeRestriction(pendulum.datetime(2026, 3, 27, tz="Europe/Berlin"), None, catchup=True)
    run, days = None, {}
    for _ in range(5):
        run = timetable.next_dagrun_info_v2(last_dagrun_info=run, restriction=restriction)
        days[run.run_after.in_timezone("Europe/Berlin").day] = int(run.partition_key[8:10])
    return days


skipped, other, none = partitions("30 2 * * *", -1), partitions("30 1 * * *", -1), partitions("30 2 * * *", 0)
print(f"at 02:30, run_offset=-1: {skipped}", f"at 01:30: {other}", f"at 02:30 without: {none}", sep="\n")
assert skipped == {27: 26, 28: 27, 29: 29, 30: 29, 31: 30}, "the behaviour has changed"
assert other == {27: 26, 28: 27, 29: 28, 30: 29, 31: 30}, "the behaviour has changed"
assert none == {27: 27, 28: 28, 29: 29, 30: 30, 31: 31}, "the behaviour has changed"
PY
