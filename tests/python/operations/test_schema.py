"""The running service against `specs/openapi.yaml`, by thousands of requests that the file allows and forbids."""

import os
import subprocess

from conftest import ROOT
from service import PATIENCE, running

SECONDS = 30


def counted(service):
    return {name: value for name, value in service.metrics().items() if "_http_requests_total{" in name}


def test_schemathesis_finds_no_difference(program, tmp_path):
    with running(program, tmp_path, "--metrics", "--metrics-listen", "127.0.0.1:0") as service:
        before = counted(service)
        tool = ROOT / os.environ["OPERATIONS_VENV"] / "bin" / "schemathesis"
        command = [
            tool, "run", ROOT / "specs" / "openapi.yaml", "--url", f"http://127.0.0.1:{service.port}",
            # Bytes that are allowed by the file need not be a recording.
            "--checks", "all", "--exclude-checks", "positive_data_acceptance",
            "--max-time", SECONDS, "--max-examples", 50, "--seed", 1, "--continue-on-failure", "--no-color",
        ]  # fmt: skip
        result = subprocess.run(
            list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS + PATIENCE
        )
        assert result.returncode == 0, result.stdout + result.stderr
        # Counted by the service itself, so that a run that asked nothing does not pass.
        requests = {name: value - before.get(name, 0) for name, value in counted(service).items()}
        requests = {name: count for name, count in requests.items() if count}
        assert sum(requests.values()) > 500
        assert not [name for name in requests if 'status="5' in name]
        for path in ["/health", "/ready", "/metrics", "/v1/models", "/v1/transcribe", "/v1/transcribe/stream",
                     "/v1/audio/transcriptions", "/v1/ws", "/ws"]:  # fmt: skip
            assert any(f'path="{path}"' in name for name in requests), path
