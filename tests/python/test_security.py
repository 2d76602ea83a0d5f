"""Who may use `gigastt serve`, and how much of it."""

import json
import signal
import socket
import ssl
import subprocess

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from conftest import ROOT
from service import PATIENCE, configure, finals, pcm, receive, rest, running, until

SAMPLE = ROOT / "tests" / "samples" / "sample_00.wav"
LONG = ROOT / "tests" / "samples" / "long_00.wav"
STOP = json.dumps({"type": "stop"})


def status(service, path="/v1/models", **headers):
    answer = service.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status_code


def test_origins(program, tmp_path):
    with running(program, tmp_path, "--allow-origin", "https://a.example") as service:
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://a.example"]:
            answer = service.http.get("/v1/models", headers={"origin": origin})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == origin
        for origin in ["null", "https://b.example", "http://a.example"]:
            answer = service.http.get("/v1/models", headers={"origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_denied")
            assert "access-control-allow-origin" not in answer.headers
            with pytest.raises(InvalidStatus) as refused, service.connect(origin=origin):
                pass
            assert refused.value.response.status_code == 403
        preflight = service.http.options(
            "/v1/transcribe",
            headers={
                "origin": "https://a.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            },
        )
        assert preflight.status_code == 200
        assert "POST" in preflight.headers["access-control-allow-methods"]
    with running(program, tmp_path, "--cors-allow-any") as service:
        assert status(service, origin="https://b.example") == 200
        assert status(service, origin="null") == 403


def test_keys(program, tmp_path):
    keys, config = tmp_path / "keys", tmp_path / "config.toml"
    keys.write_text("# ours\nfirst-key\nsecond-key\n")
    config.write_text("")
    with running(program, tmp_path, "--api-key-file", keys, "--config", config) as service:
        assert status(service, "/health") == status(service, "/ready") == 200
        assert status(service) == 401
        assert status(service, authorization="Bearer first-kez") == 401
        assert status(service, authorization="Bearer first-key") == 200
        assert status(service, authorization="Bearer second-key") == 200
        assert status(service, "/v1/models?key=first-key") == 401
        with pytest.raises(InvalidStatus), service.connect():
            pass
        with service.connect(subprotocols=["gigastt", "gigastt.key.second-key"]) as client:
            assert client.subprotocol == "gigastt" and receive(client)["type"] == "ready"
        keys.write_text("third-key\n")
        service.signal(1)
        until(lambda: status(service, authorization="Bearer third-key") == 200)
        assert status(service, authorization="Bearer first-key") == 401
        service.signal()
        assert service.end() == 0
        assert "-key" not in service.log


def test_rates(program, tmp_path):
    flags = ["--rate-limit-per-minute", 1, "--rate-limit-burst", 3, "--trust-proxy", "--metrics"]
    with running(program, tmp_path, *flags, "--metrics-listen", "127.0.0.1:0") as service:
        codes = [status(service) for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        answer = service.http.get("/v1/models")
        assert answer.json()["code"] == "rate_limited" and 0 < int(answer.headers["retry-after"]) <= 60
        assert all(status(service, "/health") == 200 for _ in range(10))
        assert status(service, x_forwarded_for="9.9.9.9") == 200
        assert status(service, x_forwarded_for="127.0.0.1") == 429
        metrics = service.metrics()
        assert metrics["gigastt_rate_limit_rejections_total"] == 4
    with running(program, tmp_path, "--rate-limit-per-minute", 1, "--rate-limit-burst", 1) as service:
        assert [status(service, x_forwarded_for=f"9.9.9.{n}") for n in range(2)] == [200, 429]


def test_metrics_have_their_names_and_no_raw_path(program, tmp_path):
    names = """http_requests_total http_request_duration_seconds pool_available pool_checkout_duration_seconds
        pool_timeouts_total ws_active_connections inference_duration_seconds rate_limit_rejections_total
        ws_cancelled_total inference_seconds inference_panics_total audio_buffer_seconds audio_seconds_total
        partial_latency_seconds encoder_batch_size sessions load build_info""".split()
    flags = ["--metrics", "--metrics-listen", "127.0.0.1:0"]
    with running(program, tmp_path, *flags) as service:
        service.http.get("/v1/secret-path")
        service.http.request("BREW", "/health")
        with service.connect() as client:
            receive(client)
            configure(client, endpoint="manual")
            client.send(pcm(SAMPLE))
            assert receive(client)["type"] == "partial"
            client.send(STOP)
            rest(client)
        sessions = [f'gigastt_sessions{{state="{state}"}}' for state in ["opening", "open", "ending"]]
        until(lambda: [service.metrics()[name] for name in sessions] == [0, 0, 0])
        metrics = service.metrics()
        for name in names:
            assert any(sample.startswith(f"gigastt_{name}") for sample in metrics), name
        assert not any("secret" in sample or "BREW" in sample for sample in metrics)
        assert metrics["gigastt_audio_seconds_total"] == pytest.approx(len(pcm(SAMPLE)) / 32_000, abs=0.1)
        for stage in ["features", "encoder", "decoder", "final"]:
            assert metrics[f'gigastt_inference_seconds{{stage="{stage}"}}'] > 0
        labels = 'method="GET",path="/ready"'
        assert metrics[f'gigastt_http_requests_total{{{labels},status="200"}}'] >= 1
        assert metrics[f"gigastt_http_request_duration_seconds_count{{{labels}}}"] >= 1
        assert metrics["gigastt_pool_checkout_duration_seconds_count"] >= 1
        assert metrics["gigastt_partial_latency_seconds_count"] >= 1
        (build,) = [sample for sample in metrics if sample.startswith("gigastt_build_info")]
        assert build == f'gigastt_build_info{{version="{service.http.get("/health").json()["version"]}"}}'
        assert metrics['gigastt_http_requests_total{method="GET",path="/v1/ws",status="503"}'] == 0
        for reason in ["shutdown", "session_cap", "idle", "client", "error"]:
            assert metrics[f'gigastt_ws_cancelled_total{{reason="{reason}"}}'] == 0


def test_only_what_waits_of_live_speech_is_lag(program, tmp_path):
    """A final settles it, and a recording has its share of work in hand by design."""
    flags = ["--metrics", "--metrics-listen", "127.0.0.1:0"]
    with running(program, tmp_path, *flags) as service:

        def lag():
            return service.metrics()["gigastt_audio_buffer_seconds"]

        with service.connect("/v1/ws?endpoint=manual") as client:
            receive(client)
            configure(client)
            client.send(pcm(SAMPLE))
            until(lambda: lag() > 1)
            client.send('{"type":"Finalize"}')
            while receive(client)["type"] != "final":
                pass
            until(lambda: lag() < 0.1)
        heard = service.metrics()["gigastt_audio_seconds_total"]
        with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as upload:
            wav = LONG.read_bytes()[:400_000]
            head = f"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: {len(wav) + 1_000_000}\r\n\r\n"
            upload.sendall(head.encode() + wav)
            until(lambda: service.metrics()["gigastt_audio_seconds_total"] > heard + 11)
            assert lag() < 0.1


def test_tls(program, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]

    def make():
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)

    make()
    with running(program, tmp_path, "--tls-cert", cert, "--tls-key", key, ready=False) as service:
        context = ssl.create_default_context(cafile=cert)
        with httpx.Client(verify=context, timeout=PATIENCE, trust_env=False) as http:
            base = f"https://127.0.0.1:{service.port}"
            until(lambda: http.get(f"{base}/ready").status_code == 200)
            answer = http.post(f"{base}/v1/transcribe", content=SAMPLE.read_bytes())
            assert answer.status_code == 200 and answer.json()["text"]
        with pytest.raises(httpx.HTTPError):
            service.http.get("/health")
        make()
        service.signal(signal.SIGHUP)
        until(lambda: "the certificate was read again" in service.log)
        renewed = ssl.create_default_context(cafile=cert)
        cert.write_text("none")
        service.signal(signal.SIGHUP)
        until(lambda: "the certificate stays as it was" in service.log)
        with httpx.Client(verify=renewed, timeout=PATIENCE, trust_env=False) as http:
            assert http.get(f"{base}/health").status_code == 200


def test_slow_clients_do_not_hurt_a_fast_one(program, tmp_path, transcribe):
    (record,) = transcribe([SAMPLE])
    with running(program, tmp_path) as service:
        slow = []
        for n in range(200):
            connection = socket.create_connection(("127.0.0.1", service.port), PATIENCE)
            slow.append(connection)
            if n % 2:
                connection.sendall(b"GET /heal")
            else:
                connection.sendall(b"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nRIFF")
        for _ in range(5):
            answer = service.http.post("/v1/transcribe", content=SAMPLE.read_bytes())
            assert answer.status_code == 200 and answer.json()["text"] == record["text"]
            with service.connect() as client:
                receive(client)
                configure(client, endpoint="manual")
                client.send(pcm(SAMPLE))
                client.send(STOP)
                objects, code = rest(client)
                assert code == 1000 and finals(objects) == record["text"]
        for connection in slow:
            connection.close()
