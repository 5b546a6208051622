"""What a clone prints where its environment cannot be made: the last line is the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tests.servers.certificates import Authority
from tests.servers.processes import free_port
from tests.servers.proxy import VARIABLES, running_proxy

SCRIPT = Path(__file__).parents[2] / ".ci" / "make_venv.py"
INDEX = "index.invalid"


def last_line(folder: Path, **variables: object) -> str:
    """Try to make an environment, with an index that only a proxy can reach; the last line of the output."""
    environment = {name: value for name, value in os.environ.items() if name.lower() not in VARIABLES}
    environment |= {
        "PIP_INDEX_URL": f"https://{INDEX}/simple",
        "PIP_RETRIES": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    environment.pop("PIP_CERT", None)
    done = subprocess.run(
        [sys.executable, SCRIPT, folder / "venv", "nothing"],
        env=environment | {name: str(value) for name, value in variables.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 1
    return done.stdout.strip().splitlines()[-1]


def test_a_proxy_that_requires_a_login(tmp_path: Path) -> None:
    with running_proxy(target=0) as proxy:
        proxy.status = 407

        assert "export HTTPS_PROXY=http://user:password@" in last_line(
            tmp_path, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}"
        )


def test_a_proxy_that_inspects_tls_with_an_unknown_ca(tmp_path: Path) -> None:
    with running_proxy(target=0) as proxy:
        proxy.certificates[INDEX] = Authority(tmp_path).issue(INDEX)

        assert "export PIP_CERT=" in last_line(tmp_path, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")


def test_an_index_that_cannot_be_reached(tmp_path: Path) -> None:
    assert "The package index cannot be reached" in last_line(
        tmp_path, PIP_INDEX_URL=f"https://127.0.0.1:{free_port()}/simple"
    )


def test_the_settings_of_pip_are_those_of_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_from_file_location("make_venv", SCRIPT)
    assert spec
    assert spec.loader
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\ncert = /etc/company.pem\nproxy = http://proxy.invalid:3128\nindex-url = https://old.invalid/simple\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_INDEX_URL", "https://new.invalid/simple")

    assert script.settings_of_pip(str(tmp_path / "venv" / "bin" / "python")) == {
        "SSL_CERT_FILE": "/etc/company.pem",
        "ALL_PROXY": "http://proxy.invalid:3128",
        "UV_DEFAULT_INDEX": "https://new.invalid/simple",
    }
