"""The HTTP routes of `gigastt serve`."""

import json
import socket
import struct
import subprocess
import threading

import httpx
import openai
import pytest

from conftest import ROOT, SAMPLES
from service import PATIENCE, receive, rest, running, until

AUDIO = ROOT / "gigastt-core" / "tests" / "data" / "audio"
SAMPLE = ROOT / "tests" / "samples" / "sample_00.wav"
LONG = ROOT / "tests" / "samples" / "long_00.wav"


@pytest.fixture(scope="module")
def service(program, tmp_path_factory):
    flags = ["--body-limit-bytes", 4_000_000, "--max-audio-secs", 300]
    with running(program, tmp_path_factory.mktemp("service"), *flags) as service:
        yield service


def refused(response, status, code):
    """The answer is an error of the contract."""
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.json()["error"]


def events(response):
    """The objects of server-sent events."""
    lines = [line for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]


def test_probes_and_models(service):
    health = service.http.get("/health")
    assert health.status_code == 200
    assert health.json().keys() >= {"status", "model", "version"} and health.json()["status"] == "ok"
    assert service.http.get("/ready").status_code == 200
    model = service.http.get("/v1/models").json()
    names = "id name version encoder vocab_size sample_rate pool_size pool_available supported_formats"
    assert model.keys() >= set(names.split()) | {"supported_rates", "diarization"}
    assert (model["sample_rate"], model["diarization"]) == (16_000, False)
    assert model["pool_available"] > 0
    assert "x-request-id" in health.headers
    mine = service.http.get("/health", headers={"x-request-id": "mine"})
    assert mine.headers["x-request-id"] == "mine"


def test_transcripts_are_those_of_the_command_line(service, transcribe):
    for path, record in zip(SAMPLES, transcribe(SAMPLES)):
        answer = service.http.post("/v1/transcribe", content=path.read_bytes())
        assert answer.status_code == 200, answer.text
        assert answer.json() == {key: record[key] for key in ["text", "words", "duration"]}


def test_every_format(service):
    names = "s16.flac vbr.mp3 vorbis.ogg hybrid.opus faststart.m4a aac.m4a aac.aac opus.webm s24.wav piped.wav"
    for name in names.split():
        answer = service.http.post("/v1/transcribe", content=(AUDIO / name).read_bytes())
        assert answer.status_code == 200, (name, answer.text)
        assert answer.json()["duration"] > 0


def test_events_while_the_upload_still_arrives(service, transcribe):
    (long,) = [path for path in SAMPLES if path.stem.startswith("long")]
    data = long.read_bytes()
    seen = threading.Event()

    def upload():
        yield data[: len(data) // 2]
        assert seen.wait(PATIENCE), "an event before the end of the upload"
        yield data[len(data) // 2 :]

    # httpx sends everything before it reads, so this client is made by hand.
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
        head = "POST /v1/transcribe/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        received = b""
        pieces = upload()
        piece = next(pieces)
        connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        while b"data: " not in received:
            received += connection.recv(65_536)
        seen.set()
        piece = next(pieces)
        connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n0\r\n\r\n")
        while more := connection.recv(65_536):
            received += more
    text = received.decode()
    assert '"type":"partial"' in text
    objects = [
        json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")
    ]
    (record,) = transcribe([long])
    assert " ".join(o["text"] for o in objects if o["type"] == "final") == record["text"]
    assert objects[-1]["type"] == "final"


def test_events_of_a_short_recording(service, transcribe):
    answer = service.http.post("/v1/transcribe/stream", content=SAMPLE.read_bytes())
    assert answer.headers["content-type"] == "text/event-stream"
    (record,) = transcribe([SAMPLE])
    finals = [event for event in events(answer) if event["type"] == "final"]
    assert [final["text"] for final in finals] == [record["text"]]
    assert finals[0]["is_final"] and finals[0]["second_pass"] and finals[0]["endpoint_reason"] == "finish"


def test_the_client_of_openai(service, transcribe):
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{service.port}/v1",
        api_key="any",
        timeout=PATIENCE,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )
    (record,) = transcribe([SAMPLE])

    def ask(file=SAMPLE, **wishes):
        with file.open("rb") as file:
            return client.audio.transcriptions.create(model="gigaam", file=file, **wishes)

    assert ask().text == record["text"]
    assert ask(response_format="text").strip() == record["text"]
    assert ask(response_format="srt").startswith("1\n00:00:00")
    assert ask(response_format="vtt").startswith("WEBVTT")
    verbose = ask(response_format="verbose_json", timestamp_granularities=["word"])
    assert verbose.text == record["text"]
    assert [word.word for word in verbose.words] == [word["word"] for word in record["words"]]
    assert verbose.segments[0].text == record["text"]
    cut = ask(response_format="verbose_json", extra_query={"endpoint": "dictation"}, file=LONG)
    whole = ask(response_format="verbose_json", file=LONG)
    assert len(cut.segments) > len(whole.segments)
    with_deltas = list(ask(stream=True))
    deltas = [event.delta for event in with_deltas if event.type == "transcript.text.delta"]
    assert "".join(deltas) == record["text"]
    assert (with_deltas[-1].type, with_deltas[-1].text) == ("transcript.text.done", record["text"])
    assert ask(prompt="слово " * 2_000).text == record["text"]
    with pytest.raises(openai.BadRequestError):
        ask(response_format="poem")


def test_curl(service, transcribe):
    (record,) = transcribe([SAMPLE])
    base = f"http://127.0.0.1:{service.port}"
    command = ["curl", "--silent", "--noproxy", "*", f"{base}/v1/transcribe", "--data-binary", f"@{SAMPLE}"]
    answer = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    assert json.loads(answer.stdout)["text"] == record["text"]
    form = ["-F", f"file=@{SAMPLE}", "-F", "response_format=text"]  # The file comes first.
    command = ["curl", "--silent", "--noproxy", "*", f"{base}/v1/audio/transcriptions", *form]
    answer = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    assert answer.stdout.decode().strip() == record["text"]


def test_what_is_no_recording(service):
    refused(service.http.post("/v1/transcribe"), 400, "empty_body")
    refused(service.http.post("/v1/transcribe/stream"), 400, "empty_body")
    refused(service.http.post("/v1/transcribe", content=b"no audio" * 100), 422, "invalid_audio")
    refused(service.http.post("/v1/transcribe/stream", content=b"\0" * 5000), 422, "invalid_audio")
    half = SAMPLE.read_bytes()[:30_000]
    refused(service.http.post("/v1/transcribe", content=half), 422, "invalid_audio")
    refused(service.http.post("/v1/transcribe?endpoint=x", content=half), 400, "invalid_argument")
    refused(service.http.post("/v1/audio/transcriptions", content=half), 400, "bad_request")
    for size in [1, 10_000]:
        refusal = service.http.post("/v1/audio/transcriptions", files={"audio": b"x" * size})
        refused(refusal, 400, "empty_body")
        assert "`file`" in refusal.json()["error"]
    refused(service.http.post("/v1/audio/transcriptions", files={"file": b"x" * 99}), 422, "invalid_audio")


def test_a_connection_that_ends_with_a_refusal_says_so(service):
    """Or the client sends its next request on it, and gets no answer."""
    refusal = service.http.post("/v1/audio/transcriptions", content=b"x" * 100_000)
    assert (refusal.status_code, refusal.headers["connection"]) == (400, "close")
    assert "connection" not in service.http.get("/health").headers


def test_what_is_too_large(service):
    large = b"RIFF" + b"\0" * 4_000_000
    refused(service.http.post("/v1/transcribe", content=large), 413, "payload_too_large")
    # Behind a recording whose head promises less, and without a length beforehand.
    chunks = (SAMPLE.read_bytes() if n == 0 else b"\0" * 100_000 for n in range(60))
    refused(service.http.post("/v1/transcribe", content=chunks), 413, "payload_too_large")
    # A length that gives it away is answered without waiting for what it announces.
    head = b"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nRIFF"
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
        connection.sendall(head)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413") and b"payload_too_large" in answer


def test_a_form_that_does_not_end_is_too_large(service):
    """What stands before a field is held in memory until it ends, and nobody says how long it will be."""
    kind = {"content-type": "multipart/form-data; boundary=b"}
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + SAMPLE.read_bytes()
    for begun in [b"x", b"--b\r\nX: ", file + b"\r\n--b\r\nX: ", file]:
        body = (begun if n == 0 else b"x" * 100_000 for n in range(60))
        answer = service.http.post("/v1/audio/transcriptions", content=body, headers=kind)
        refused(answer, 413, "payload_too_large")


def test_what_is_too_long(service):
    # 6 kbit/s of silence in opus would be hours; a wav of zeros at 8 kHz is as long as it says.
    seconds = 301
    size = seconds * 8_000
    fmt = struct.pack("<HHIIHH", 1, 1, 8_000, 8_000, 1, 8)
    wav = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt \x10\0\0\0" + fmt + b"data" + struct.pack("<I", size)
    refused(service.http.post("/v1/transcribe", content=wav + b"\x80" * size), 413, "audio_too_long")


def test_who_is_not_admitted_is_told_when_to_come_back(program, tmp_path):
    flags = ["--max-sessions", 1, "--pool-checkout-timeout-secs", 1, "--pool-size", 1]
    metrics = ["--metrics", "--metrics-listen", "127.0.0.1:0"]
    with running(program, tmp_path, *flags, *metrics) as service:
        assert service.http.get("/v1/models").json()["pool_size"] == 1
        with service.connect() as first, service.connect() as second:
            assert receive(first)["type"] == "ready"
            ready = service.http.get("/ready")
            assert (ready.status_code, ready.json()["reason"]) == (503, "saturated")
            for path in ["/v1/transcribe", "/v1/transcribe/stream"]:
                answer = service.http.post(path, content=SAMPLE.read_bytes())
                refused(answer, 503, "timeout")
                assert answer.headers["retry-after"] == "1" and answer.json()["retry_after_ms"] == 1_000
            (error,), code = rest(second)
            assert (error["code"], error["retry_after_ms"], code) == ("timeout", 1_000, 1013)
            assert service.metrics()["gigastt_pool_timeouts_total"] == 3
        until(lambda: service.http.get("/ready").status_code == 200)


def test_what_is_not_there(service):
    refused(service.http.get("/nothing"), 404, "not_found")
    refused(service.http.get("/metrics"), 404, "metrics_disabled")
    refused(service.http.get("/v1/transcribe"), 405, "method_not_allowed")
    refused(service.http.post("/"), 405, "method_not_allowed")
    refused(service.http.get("/v1/ws"), 400, "bad_request")


def test_a_client_that_leaves_cancels_its_work(service):
    (long,) = [path for path in SAMPLES if path.stem.startswith("long")]
    metrics = lambda: service.http.get("/v1/models").json()["pool_available"]
    before = metrics()
    for path in ["/v1/transcribe", "/v1/transcribe/stream"]:
        with pytest.raises(httpx.ReadTimeout):
            with httpx.Client(trust_env=False, timeout=httpx.Timeout(PATIENCE, read=0.05)) as client:
                client.post(f"http://127.0.0.1:{service.port}{path}", content=long.read_bytes() * 1).read()
                raise httpx.ReadTimeout("it was faster than we could leave")
    # Streams of clients that left would be counted as open and take capacity.
    until(lambda: metrics() >= min(before, 10))
