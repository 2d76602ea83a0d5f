"""The WebSocket of `gigastt serve`, as a client sees it."""

import json
import os
import socket
import struct
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from conftest import ROOT, SAMPLES, read_wav, resampled
from service import PATIENCE, configure, finals, pcm, pieces, receive, rest, running, until

SAMPLE = ROOT / "tests" / "samples" / "sample_00.wav"
STOP = json.dumps({"type": "stop"})
FRAME_MAX = 200_000


@pytest.fixture(scope="module")
def service(program, tmp_path_factory):
    flags = ["--ws-frame-max-bytes", FRAME_MAX, "--metrics", "--metrics-listen", "127.0.0.1:0"]
    with running(program, tmp_path_factory.mktemp("service"), *flags) as service:
        yield service


@pytest.fixture(scope="module")
def text(transcribe):
    return transcribe([SAMPLE])[0]["text"]


@pytest.fixture(name="socket")
def greeted(service):
    """A conversation that was greeted."""
    with service.connect() as conversation:
        assert receive(conversation)["type"] == "ready"
        yield conversation


def said(socket, path=SAMPLE):
    """Says a recording and stops; the joined finals."""
    for piece in pieces(pcm(path), 32_000):
        socket.send(piece)
    socket.send(STOP)
    objects, code = rest(socket)
    assert code == 1000 and objects[-1]["type"] == "final"
    return finals(objects)


def test_finals_of_profile_manual_are_the_transcript(service, transcribe):
    short = [(path, r["text"]) for path, r in zip(SAMPLES, transcribe(SAMPLES)) if r["duration"] <= 22]
    assert len(short) >= 6
    for path, text in short:
        with service.connect() as socket:
            assert receive(socket)["type"] == "ready"
            configure(socket, endpoint="manual")
            for piece in pieces(pcm(path), 3_201):  # Samples are torn apart.
                socket.send(piece)
            socket.send(STOP)
            objects, code = rest(socket)
        assert code == 1000
        assert [o["type"] for o in objects].count("final") == 1
        assert objects[-1]["second_pass"] and objects[-1]["endpoint_reason"] == "finish"
        assert finals(objects) == text, path


def test_ready_says_what_a_client_needs(service):
    with service.connect() as socket:
        ready = receive(socket)
    assert ready.pop("model")
    assert ready == {
        "type": "ready",
        "sample_rate": 48_000,
        "version": "1.0",
        "supported_rates": [8_000, 16_000, 24_000, 44_100, 48_000],
        "diarization": False,
        "min_protocol_version": "1.0",
        "max_session_secs": 3600,
        "idle_timeout_secs": 300,
    }


def test_partials_and_finals_have_their_fields(service, text):
    with service.connect("/v1/ws?endpoint=manual") as socket:
        receive(socket)
        configure(socket)
        first, *others = pieces(pcm(SAMPLE), 32_000)
        socket.send(first)
        partial = receive(socket)
        assert partial["type"] == "partial"
        common = {"text", "words", "is_final", "timestamp", "committed", "tentative", "stable", "revision"}
        assert partial.keys() == {"type"} | common
        assert partial["text"] == partial["committed"] + partial["tentative"]
        assert partial["text"].startswith(partial["stable"]) and not partial["is_final"]
        for piece in others:
            socket.send(piece)
        socket.send(STOP)
        objects, _ = rest(socket)
    final = objects[-1]
    assert final.keys() == {"type"} | common | {"endpoint_reason", "second_pass", "span"}
    assert final["is_final"] and final["text"] == text and abs(final["timestamp"] - time.time()) < PATIENCE
    assert final["words"][0].keys() == {"word", "start", "end", "confidence"}
    assert final["span"]["end"] * 2 == len(pcm(SAMPLE))


def test_stop_without_speech_gives_one_empty_final(socket):
    socket.send(STOP)
    objects, code = rest(socket)
    assert code == 1000
    assert [(o["type"], o["text"], o["words"]) for o in objects] == [("final", "", [])]


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000, None])
def test_the_words_at_every_rate(service, rate):
    """48 kHz when nothing is said of it. At 8 kHz the upper half of the voice is gone: not every sample stands that."""
    sample = SAMPLE.with_name("sample_08.wav")
    with service.connect("/v1/ws?endpoint=manual") as socket:
        receive(socket)
        if rate:
            configure(socket, sample_rate=rate)
        for piece in pieces(resampled(read_wav(sample), rate or 48_000).tobytes(), 32_000):
            socket.send(piece)
        socket.send(STOP)
        objects, code = rest(socket)
    assert code == 1000 and finals(objects) == sample.with_suffix(".txt").read_text().strip()


def test_what_is_configured_wrongly_is_said_and_the_session_goes_on(socket, text):
    for rate in [11_025, 0, -1, "16000", 16_000.5, None, 10**30]:
        if rate is not None:
            configure(socket, sample_rate=rate)
            assert receive(socket)["code"] == "invalid_sample_rate"
    configure(socket, endpoint="nonsense")
    assert receive(socket)["code"] == "policy_violation"
    wishes = {"endpoint": "manual", "diarization": True, "protocol_version": "1.0", "mode": "two_pass"}
    configure(socket, sample_rate=16_000.0, **wishes)  # For JSON the same as 16000.
    socket.send(b"\0\0")
    configure(socket)
    error = receive(socket)
    assert (error["type"], error["code"]) == ("error", "configure_too_late")
    assert said(socket) == text


def test_an_unknown_protocol_ends_the_session(socket):
    configure(socket, protocol_version="2.0")
    objects, code = rest(socket)
    assert [o["code"] for o in objects] == ["unsupported_protocol_version"] and code == 1008


def test_what_means_nothing_is_ignored(socket, text):
    for nonsense in ["", "{", "[]", "null", "hello", '{"type":"what"}', '{"type":1}', "\0", "й" * 1000]:
        socket.send(nonsense)
    socket.send(b"")
    configure(socket)
    socket.send('{"type":"KeepAlive"}')
    assert said(socket) == text


def test_words_of_other_protocols(service, text):
    for word in ['{"eof": 1}', '{"type":"CloseStream"}', '{"type":"Terminate"}', '{"terminate_session": true}']:
        with service.connect() as socket:
            receive(socket)
            socket.send('{"config": {"sample_rate": 16000}}')
            socket.send(pcm(SAMPLE))
            socket.send('{"type": "Finalize"}')
            while (final := receive(socket))["type"] != "final":
                pass
            assert final["endpoint_reason"] == "forced" and final["text"] == text
            socket.send(word)
            objects, code = rest(socket)
            assert code == 1000 and [o["type"] for o in objects] == ["final"], word


def test_incremental_text_is_committed(service, text):
    with service.connect() as socket:
        receive(socket)
        configure(socket, mode="incremental", endpoint="manual")
        socket.send(pcm(SAMPLE))
        socket.send(STOP)
        objects, _ = rest(socket)
        assert objects[-1]["text"] and not objects[-1]["second_pass"]


def test_the_old_path_says_where_the_new_one_is(service):
    with service.connect("/ws") as socket:
        headers = socket.response.headers
        assert receive(socket)["type"] == "ready"
    assert headers["deprecation"] == "true"
    assert headers["link"] == '</v1/ws>; rel="successor-version"'
    with service.connect("/v1/ws") as socket:
        assert "deprecation" not in socket.response.headers


def test_a_frame_that_is_too_large(service):
    with service.connect() as socket:
        receive(socket)
        socket.send(b"\0" * FRAME_MAX)
        socket.send(b"\0" * (FRAME_MAX + 1))
        objects, code = rest(socket)
    assert [o["code"] for o in objects if o["type"] == "error"] == ["payload_too_large"]
    assert code == 1009


def test_a_frame_that_is_far_too_large_and_still_being_sent(service):
    with service.connect() as socket:
        receive(socket)
        try:
            socket.send(b"\0" * 20_000_000)
        except ConnectionClosed:
            pass
        objects, code = rest(socket)
    assert [o["code"] for o in objects] == ["payload_too_large"] and code == 1009


def test_text_that_is_not_utf_8(service):
    with service.connect() as socket:
        receive(socket)
        socket.send(b"\xff\xfe{", text=True)
        objects, code = rest(socket)
    assert [o["code"] for o in objects] == ["policy_violation"] and code == 1008


def test_a_hundred_thousand_empty_frames(service, text):
    with service.connect() as socket:
        receive(socket)
        for _ in range(100_000):
            socket.send(b"")
        configure(socket)
        assert said(socket) == text


def test_an_endpoint_that_does_not_exist(service):
    with pytest.raises(InvalidStatus) as error:
        service.connect("/v1/ws?endpoint=nonsense")
    assert error.value.response.status_code == 400


def test_clients_that_vanish_leave_nothing(service):
    """Abrupt disconnects leak no stream, task or descriptor. The long form has 10,000 of them."""
    count = int(os.environ.get("GIGASTT_TEST_DISCONNECTS", "300"))
    descriptors = lambda: len(os.listdir(f"/proc/{service.process.pid}/fd"))
    cancelled = lambda: service.metrics()['gigastt_ws_cancelled_total{reason="client"}']
    vanished, before = cancelled(), descriptors()
    for n in range(count):
        with service.connect(compression=None) as client:
            if n % 3:
                receive(client)
                client.send(b"\0\0" * 4_800)
            # Without a word: the system resets the connection.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.shutdown(socket.SHUT_RD)
            client.socket.close()
    until(lambda: cancelled() == vanished + count)
    until(lambda: descriptors() <= before + 2)
    metrics = service.metrics()
    assert metrics["gigastt_ws_active_connections"] == 0
    assert all(value == 0 for name, value in metrics.items() if name.startswith("gigastt_sessions"))
    assert abs(metrics["gigastt_audio_buffer_seconds"]) < 1e-6
