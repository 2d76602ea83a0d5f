"""`gigastt health` beside a running service."""

import json
import signal
import socket
import subprocess

from service import PATIENCE, running, until


def health(program, *flags, **variables):
    """The exit code of `gigastt health`, and what it printed."""
    command = [program, "health", "--timeout-secs", PATIENCE, *flags]
    result = subprocess.run(
        list(map(str, command)), env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return result.returncode, result.stdout + result.stderr


def test_health_follows_the_service(program, tmp_path):
    with running(program, tmp_path) as service:
        code, told = health(program, "--port", service.port)
        assert code == 0 and json.loads(told)["status"] == "ok"
        # As in a container: by variables, with the address that means every one.
        assert health(program, GIGASTT_PORT=str(service.port), GIGASTT_HOST="0.0.0.0")[0] == 0
        assert health(program, "--ready", "--port", service.port)[0] == 0
        with service.connect() as conversation:
            conversation.recv(timeout=PATIENCE)
            service.signal(signal.SIGTERM)
            until(lambda: health(program, "--ready", "--port", service.port)[0] == 1)
        service.end()
        code, told = health(program, "--port", service.port)
        assert code == 1 and f"127.0.0.1:{service.port}" in told


def test_health_over_tls_and_by_the_file_of_settings(program, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stt.example"]
    subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
    config = tmp_path / "gigastt.toml"
    config.write_text(f'tls_cert = "{cert}"\ntls_key = "{key}"\n')
    with running(program, tmp_path, "--config", config, ready=False) as service:
        assert health(program, "--config", config, "--port", service.port)[0] == 0
        assert health(program, "--tls-cert", cert, "--port", service.port)[0] == 0
        assert health(program, "--port", service.port)[0] == 1
    assert health(program, "--config", tmp_path / "none")[0] == 2


def test_what_is_no_service_is_not_well(program):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = subprocess.Popen(
            [program, "health", "--port", str(port), "--timeout-secs", str(PATIENCE)], stderr=subprocess.PIPE, text=True
        )
        connection, _ = other.accept()
        with connection, connection.makefile("rb") as request:
            assert request.readline() == b"GET /health HTTP/1.1\r\n"
            while request.readline().strip():
                pass
            connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
        assert process.wait(PATIENCE) == 1 and "not HTTP" in process.stderr.read()
