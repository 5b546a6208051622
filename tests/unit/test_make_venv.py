"""What a clone prints where its environment cannot be made: the last line is the remedy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from tests.servers.proxy import VARIABLES, running_proxy

SCRIPT = Path(__file__).parents[2] / ".ci" / "make_venv.py"


@pytest.fixture
def script() -> ModuleType:
    spec = spec_from_file_location("make_venv", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What pip and uv print in clones behind such proxies and on such disks.
OUTPUTS = {
    "'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy": "user:password@",
    "connection broken by 'ProxyError('Cannot connect to proxy.', NewConnectionError('<pip": "The proxy cannot be used",
    "'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certi": "export PIP_CERT=",
    "cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer": "export PIP_CERT=",
    "cause: client error (Connect)\n  cause: dns error": "The package index cannot be reached",
    "'NewConnectionError('<pip: [Errno -3] Temporary failure": "The package index cannot be reached",
    "ERROR: No matching distribution found for uv": "The package index cannot be reached",
    "failed to write to file `/x/.cache/uv/CACHEDIR.TAG`: No space left on device (os error 28)": "The disk is full",
    "failed to create directory `/x/.cache/uv`: Read-only file system (os error 30)": "export UV_CACHE_DIR=",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_remedy_is_that_of_the_cause(script: ModuleType, output: str) -> None:
    assert OUTPUTS[output] in next(
        remedy for pattern, remedy in script.REMEDIES if re.search(pattern, output)
    )


def test_behind_a_proxy_that_requires_a_login(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line is the remedy; and uv would have received the settings of pip."""
    for name in list(os.environ):
        if name.lower() in VARIABLES or name.startswith("PIP_"):
            monkeypatch.delenv(name)
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nindex-url = https://old.invalid/simple\nretries = 1\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_INDEX_URL", "https://new.invalid/simple")
    with running_proxy(target=0) as proxy:
        proxy.status = 407
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        done = subprocess.run(
            [sys.executable, SCRIPT, tmp_path / "venv", "nothing"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    assert done.returncode == 1
    assert "export HTTPS_PROXY=http://user:password@" in done.stdout.strip().splitlines()[-1]

    configuration.write_text(
        f"{configuration.read_text()}cert = /etc/company.pem\nproxy = http://proxy.invalid:3128\n"
    )

    assert script.settings_of_pip(str(tmp_path / "venv" / "bin" / "python")) == {
        "SSL_CERT_FILE": "/etc/company.pem",
        "ALL_PROXY": "http://proxy.invalid:3128",
        "UV_DEFAULT_INDEX": "https://new.invalid/simple",
    }
