"""A signal raises its exception in any line: of a task that is killed, or that has run longer than it may."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.transfer import destination
from airflow_provider_oleria.transfer.destination import publish, resolve

MODULES = str(Path(destination.__file__).parent)


class Interrupted(BaseException):
    pass


def ends_before(line: int, path: ObjectStoragePath) -> bool:
    """Write a file, and raise an exception in the given line that is run of the destination's modules.

    :return: whether the file was published or discarded before that line.
    """
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(MODULES) or frame.f_code.co_name == "discard":
            return None
        if event == "line":
            lines += 1
            if lines == line:
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        with publish(path, 0) as file:
            file.write(b"new")
    except Interrupted:
        pass
    finally:
        sys.settrace(None)
    return lines < line


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("url", ["file://{}", "memory://{}"])
def test_a_signal_in_any_line_leaves_the_previous_or_the_new_file_and_nothing_else(
    url: str, tmp_path: Path
) -> None:
    path = resolve(url.format(tmp_path / "out.csv"))
    contents, line = set(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        path.write_bytes(b"previous")
        line += 1
        ends = ends_before(line, path)
        assert [found.name for found in path.parent.iterdir()] == ["out.csv"], f"interrupted in line {line}"
        contents.add(path.read_bytes())
        if ends:
            break

    assert line > 30
    assert contents == {b"previous", b"new"}
