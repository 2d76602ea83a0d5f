"""How `gigastt serve` ends, and how it ends conversations: drain, cap, idle."""

import asyncio
import json
import resource
import signal
import socket
import threading
import time

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from conftest import ROOT, read_wav, write_wav
from service import PATIENCE, configure, pcm, pieces, receive, rest, running, until

SAMPLE = ROOT / "tests" / "samples" / "sample_00.wav"
LONG = ROOT / "tests" / "samples" / "long_00.wav"
METRICS = ["--metrics", "--metrics-listen", "127.0.0.1:0"]


class Crowd:
    """Clients of every kind, in the middle of what they do when the service is told to end."""

    def __init__(self, service):
        self.service, self.busy, self.signalled = service, 0, asyncio.Event()
        self.base = f"127.0.0.1:{service.port}"

    async def speaker(self, endpoint):
        """A WebSocket that is spoken into until it is closed; its objects and the code of Close."""
        objects, speech = [], pieces(pcm(LONG), 3_200)
        async with websockets.connect(
            f"ws://{self.base}/v1/ws?endpoint={endpoint}", open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None
        ) as socket:
            objects.append(json.loads(await socket.recv()))
            await socket.send(json.dumps({"type": "configure", "sample_rate": 16_000}))

            async def speak():
                for number, piece in enumerate(speech):
                    await socket.send(piece)
                    if number >= 20:  # Two seconds at once, the rest as one speaks.
                        await asyncio.sleep(0.1)

            speaking = asyncio.create_task(speak())
            busy = False
            try:
                async for text in socket:
                    objects.append(json.loads(text))
                    if not busy and objects[-1]["type"] == "partial" and objects[-1]["text"]:
                        busy, self.busy = True, self.busy + 1
            except ConnectionClosed:
                pass
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            return objects, socket.close_code

    async def uploader(self, path, ends):
        """An upload of a recording, which goes on at the pace of speech or ends; status and body of the answer."""

        async def body():
            data = LONG.read_bytes()
            yield data[:200_000]
            if path == "/v1/transcribe":
                self.busy += 1
            if ends:
                await self.signalled.wait()
                yield data[200_000:]
                return
            for piece in pieces(data[200_000:], 3_200):
                await asyncio.sleep(0.1)
                yield piece

        # What is answered before the upload ends is read while it goes on.
        reader, writer = await asyncio.open_connection("127.0.0.1", self.service.port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())

        async def send():
            async for piece in body():
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        sending = asyncio.create_task(send())
        answer, busy = b"", False
        while piece := await reader.read(65_536):
            answer += piece
            if not busy and b"data: " in answer:
                busy, self.busy = True, self.busy + 1
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]), body

    async def newcomer(self):
        """Who comes during the drain is told why he is turned away; probes see what is going on."""
        await self.signalled.wait()
        async with httpx.AsyncClient(base_url=f"http://{self.base}", timeout=PATIENCE, trust_env=False) as http:
            while (ready := await http.get("/ready")).status_code == 200:
                await asyncio.sleep(0.01)
            assert ready.status_code == 503 and ready.json()["reason"] == "shutting_down"
            assert (await http.get("/health")).status_code == 200
            for answer in [
                await http.get("/v1/models"),
                await http.post("/v1/transcribe", content=b"x"),
                await http.get("/v1/ws", headers={"connection": "upgrade", "upgrade": "websocket"}),
            ]:
                assert (answer.status_code, answer.json()["code"]) == (503, "shutting_down")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{self.base}/v1/ws", proxy=None)
        assert refused.value.response.status_code == 503
        metrics = await asyncio.to_thread(self.service.metrics)
        assert metrics['gigastt_http_requests_total{method="GET",path="/v1/ws",status="503"}'] == 2

    async def run(self, endpoints, streams, uploads):
        speakers = [asyncio.create_task(self.speaker(endpoint)) for endpoint in endpoints]
        streams = [asyncio.create_task(self.uploader("/v1/transcribe/stream", False)) for _ in range(streams)]
        uploads = [asyncio.create_task(self.uploader("/v1/transcribe", ends)) for ends in uploads]
        newcomer = asyncio.create_task(self.newcomer())
        while self.busy < len(speakers + streams + uploads):
            assert not any(task.done() for task in speakers + streams + uploads)
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)  # Into the middle of their speech.
        self.service.signal(signal.SIGTERM)
        self.signalled.set()
        results = [await asyncio.gather(*tasks) for tasks in [speakers, streams, uploads]]
        await newcomer
        return results


@pytest.fixture
def whole(transcribe, tmp_path):
    """A function from finals to what the command line makes of exactly their spans of LONG."""

    def run(finals):
        samples = read_wav(LONG)
        spans = sorted({(final["span"]["start"], final["span"]["end"]) for final in finals})
        files = [tmp_path / f"{start}-{end}.wav" for start, end in spans]
        for file, (start, end) in zip(files, spans):
            write_wav(file, samples[start:end])
        texts = dict(zip(spans, [record["text"] for record in transcribe(files)]))
        return [texts[final["span"]["start"], final["span"]["end"]] for final in finals]

    return run


def test_sigterm_loses_nobody(program, tmp_path, transcribe, whole):
    with running(program, tmp_path, "--shutdown-drain-secs", 6, *METRICS) as service:
        crowd = Crowd(service).run(["manual", "dictation"] * 16, 8, [True, True, False, False])
        speakers, streams, uploads = asyncio.run(crowd)
        assert service.end() == 0
        log = service.log
    # Or some task was not done at the end of the window.
    assert "Shutdown signalled" in log and "Drained" in log and "Drain window expired" not in log, log
    told = []
    for objects, code in speakers:
        assert code == 1001, (code, objects[-1])
        finals = [o for o in objects if o["type"] == "final"]
        assert objects[-1] == finals[-1] and finals[-1]["endpoint_reason"] == "shutdown"
        told.append((objects, finals))
    for status, body in streams:
        events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]
        finals = [o for o in events if o["type"] == "final"]
        assert status == 200 and events[-1] == finals[-1], body[-500:]
        assert finals[-1]["endpoint_reason"] == "shutdown"
        told.append((events, finals))
    for objects, finals in told:
        # Whatever was shown is in a final.
        shown = max((o["words"][-1]["end"] for o in objects if o.get("words")), default=0)
        assert any(final["text"] for final in finals) and finals[-1]["span"]["end"] >= shown * 16_000 - 640
        reasons = [final["endpoint_reason"] for final in finals]
        assert reasons.count("shutdown") == 1
        spans = [(final["span"]["start"], final["span"]["end"]) for final in finals]
        assert spans == sorted(spans) and all(a[1] <= b[0] for a, b in zip(spans, spans[1:]))
    # What had its second pass is what the same audio gives without a service that goes away.
    sure = [final for _, finals in told for final in finals if final["second_pass"]]
    assert sure and [final["text"] for final in sure] == whole(sure)
    (record,) = transcribe([LONG])
    for status, body in uploads:
        answer = json.loads(body)
        assert (status, answer.get("text")) == (200, record["text"]) or (
            (status, answer.get("code")) == (503, "shutting_down")
        )
    refused = [status for status, _ in uploads].count(503)
    assert [status for status, _ in uploads[2:]] == [503, 503], "those whose upload did not end"
    assert f"given_up={refused}" in log


def test_who_hangs_is_not_waited_for(program, tmp_path):
    """A client that does not answer Close: the window ends, and with it the process."""
    upgrade = (
        "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    with running(program, tmp_path, "--shutdown-drain-secs", 0) as service:
        with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as client:
            client.sendall(upgrade.encode())
            received = b""
            while b'"ready"' not in received:
                received += client.recv(65_536)
            service.signal()
            assert service.end() == 0
        warnings = [line for line in service.log.splitlines() if " WARN " in line]
        (expired,) = [line for line in warnings if "Drain window expired with tracked tasks still running" in line]
        assert "tasks=1" in expired and "Drained" not in service.log


def test_an_idle_service_ends_at_once_and_interrupts_count_as_well(program, tmp_path):
    for number in [signal.SIGTERM, signal.SIGINT]:
        with running(program, tmp_path, "--shutdown-drain-secs", 3600) as service:
            service.signal(number)
            assert service.end() == 0


def test_a_second_signal_ends_at_once(program, tmp_path):
    with running(program, tmp_path, "--shutdown-drain-secs", 3600) as service:
        # An upload that never ends keeps the drain waiting.
        with socket.create_connection(("127.0.0.1", service.port)) as upload:
            upload.sendall(b"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nRIFF")
            until(lambda: service.http.get("/health").status_code == 200)
            service.signal()
            until(lambda: service.http.get("/ready").json().get("reason") == "shutting_down")
            assert service.process.poll() is None
            service.signal()
            assert service.end() == 130


def test_the_session_cap(program, tmp_path):
    with running(program, tmp_path, "--max-session-secs", 4, *METRICS) as service:
        assert "the cap always fires first" in service.log
        with service.connect() as socket:
            assert receive(socket)["max_session_secs"] == 4
            configure(socket, endpoint="manual")
            stop = threading.Event()

            first, rest_of_it = pcm(LONG)[:96_000], pcm(LONG)[96_000:]

            def speak():
                for piece in pieces(rest_of_it, 3_200):
                    if stop.wait(0.1):
                        return
                    try:
                        socket.send(piece)
                    except ConnectionClosed:
                        return

            socket.send(first)
            speaking = threading.Thread(target=speak)
            speaking.start()
            objects, code = rest(socket)
            stop.set()
            speaking.join()
        *_, error, final = objects
        assert (error["type"], error["code"]) == ("error", "max_session_duration_exceeded")
        assert error["message"] == "Maximum session duration exceeded"
        assert (final["type"], final["endpoint_reason"], code) == ("final", "session_cap", 1008)
        assert final["text"]
        assert "Session cap reached" in service.log
        until(lambda: service.metrics()['gigastt_ws_cancelled_total{reason="session_cap"}'] == 1)


def test_without_a_session_cap(program, tmp_path):
    for most in [0, 2**64 - 1]:
        flags = ["--max-session-secs", most, "--idle-timeout-secs", 2**64 - 1]
        with running(program, tmp_path, *flags) as service, service.connect() as socket:
            ready = receive(socket)
            assert (ready["max_session_secs"] == 0) == (most == 0)
            socket.send('{"type":"stop"}')
            assert rest(socket)[1] == 1000


def test_an_idle_client(program, tmp_path):
    with running(program, tmp_path, "--idle-timeout-secs", 4, *METRICS) as service:
        with service.connect("/v1/ws?endpoint=manual") as socket:
            receive(socket)
            configure(socket)
            socket.send(pcm(SAMPLE))
            objects, code = rest(socket)
        *_, error, final = objects
        assert (error["code"], final["type"], final["endpoint_reason"]) == ("idle_timeout", "final", "idle")
        assert final["text"] and code == 1000
        until(lambda: service.metrics()['gigastt_ws_cancelled_total{reason="idle"}'] == 1)


def test_every_end_is_counted_by_its_reason(program, tmp_path):
    flags = ["--idle-timeout-secs", 1, "--max-session-secs", 2, "--shutdown-drain-secs", 3_600]
    with running(program, tmp_path, *flags, *METRICS) as service:

        def ended(reason):
            return service.metrics()[f'gigastt_ws_cancelled_total{{reason="{reason}"}}']

        with service.connect() as idle, service.connect() as talker, service.connect() as rude:
            receive(rude)
            rude.send(b"\xff", text=True)
            assert rest(rude)[1] == 1008
            while talker.close_code is None:
                try:
                    talker.send(b"\0\0" * 4_800)
                    talker.recv(timeout=0.1)
                except TimeoutError:
                    pass
                except ConnectionClosed:
                    break
            assert (rest(talker)[1], rest(idle)[1]) == (1008, 1000)
        with service.connect() as leaver:
            receive(leaver)
        with service.connect() as stopped:
            receive(stopped)
            stopped.send('{"type":"stop"}')
            assert rest(stopped)[1] == 1000
        with socket.create_connection(("127.0.0.1", service.port)) as upload:
            # It keeps the drain waiting, so that what is counted can be asked.
            upload.sendall(b"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nRIFF")
            with service.connect() as last:
                receive(last)
                service.signal()
                assert rest(last)[1] == 1001
            for reason in ["error", "session_cap", "idle", "client", "shutdown"]:
                until(lambda: ended(reason) == 1)
            assert service.metrics()["gigastt_ws_active_connections"] == 0
            service.signal()
            assert service.end() == 130


def test_variables_flags_and_the_file(program, tmp_path):
    file = tmp_path / "gigastt.toml"
    file.write_text('idle_timeout_secs = 11\nmax_session_secs = 22\nlog_level = "debug"\n')
    variables = {"GIGASTT_MAX_SESSION_SECS": "33", "GIGASTT_CONFIG": str(file)}

    def limits(service):
        with service.connect() as socket:
            ready = receive(socket)
            return ready["idle_timeout_secs"], ready["max_session_secs"]

    with running(program, tmp_path, **variables) as service:
        assert limits(service) == (11, 33)
    with running(program, tmp_path, "--idle-timeout-secs", 44, **variables) as service:
        assert limits(service) == (44, 33)
        file.write_text('idle_timeout_secs = 55\nbody_limit_bytes = 77\nmax_sessions = 1\n')
        service.signal(signal.SIGHUP)
        until(lambda: service.http.post("/v1/transcribe", content=b"x" * 78).status_code == 413)
        assert limits(service) == (44, 33)
        told = [line for line in service.log.splitlines() if "setting changed" in line]
        assert any('body_limit_bytes' in line and "default" in line and "77" in line for line in told), told
        assert any("max_sessions" in line and "next start" in line for line in told), told
        with service.connect() as first, service.connect() as second:
            assert receive(first)["type"] == receive(second)["type"] == "ready"
        file.write_text("nonsense = 1")
        service.signal(signal.SIGHUP)
        until(lambda: "the settings stay as they were" in service.log)
        assert service.http.post("/v1/transcribe", content=b"x" * 78).status_code == 413


def test_what_cannot_be_served_is_said(program, tmp_path):
    import subprocess

    def fails(*flags):
        command = [program, "serve", "--model", "embedded", "--port", "0", *map(str, flags)]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        assert result.returncode != 0
        return result.stderr

    assert "--bind-all" in fails("--host", "0.0.0.0")
    assert "expected an IP address" in fails("--host", "example.org")
    assert "nothing" in fails("--config", tmp_path / "nothing")
    (tmp_path / "wrong.toml").write_text('log_level = "inof"')
    assert "log_level: expected off, error" in fails("--config", tmp_path / "wrong.toml")
    assert "keys" in fails("--api-key-file", tmp_path / "keys")
    assert "cert" in fails("--tls-cert", tmp_path / "cert", "--tls-key", tmp_path / "key")
    told = json.loads(fails("--log-format", "json", "--runtime", tmp_path / "none").splitlines()[-1])
    assert "none" in told["message"] and "--runtime" in told["next"]
    with running(program, tmp_path, "--host", "0.0.0.0", "--bind-all") as service:
        assert service.http.get("/health").status_code == 200


def test_without_descriptors_the_log_stays_short(program, tmp_path):
    with running(program, tmp_path) as service:
        limit = lambda *limits: resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, *limits)
        few, most = limit()
        limit((1, most))
        with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as waiting:
            until(lambda: "not accepted" in service.log)
            time.sleep(0.5)  # Ten times as long as it waits before it tries again.
            assert service.log.count("not accepted") == 1, service.log
            limit((few, most))
            waiting.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert waiting.recv(1000).startswith(b"HTTP/1.0 200")


def test_logs_are_objects_on_demand_and_say_nothing_that_was_said(program, tmp_path):
    with running(program, tmp_path, "--log-format", "json", "--log-level", "debug") as service:
        answer = service.http.post("/v1/transcribe", content=SAMPLE.read_bytes())
        word = answer.json()["words"][0]["word"]
        service.signal()
        assert service.end() == 0
        lines = [json.loads(line) for line in service.log.splitlines()]
    assert any(line["message"] == "Shutdown signalled" for line in lines)
    assert any(line.get("request_id") for line in lines)
    assert word not in service.log
