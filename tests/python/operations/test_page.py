"""The page at `/`, in a real browser."""

import base64
import json
import os
import re
import signal
import socket

import numpy as np
import pytest

from browser import PHONE, browsing, microphone
from conftest import RATE, ROOT, SAMPLES, read_wav, write_wav
from service import running, until

SAMPLE = ROOT / "tests" / "samples" / "sample_08.wav"
SPOKEN = SAMPLE.with_suffix(".txt").read_text().strip()
LONG = ROOT / "tests" / "samples" / "long_00.wav"

RECORD = "#record"
IDLE = "!document.body.classList.contains('busy')"


@pytest.fixture(scope="module")
def service(program, tmp_path_factory):
    with running(program, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """The sample with silence around it, as somebody presses a button and then speaks."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    pause = np.zeros(RATE, np.int16)
    write_wav(path, np.concatenate([pause, read_wav(SAMPLE), pause, pause]))
    return path


def url(service, host="127.0.0.1"):
    return f"http://{host}:{service.port}/"


def words(text):
    return re.findall(r"\w+", text.lower())


def test_what_is_said_into_the_microphone_is_written_down(service, speech, tmp_path):
    with browsing(tmp_path, *microphone(speech)) as page:
        page.show(url(service))
        page.click(RECORD)
        page.until("document.querySelector('#said .partial .word.tentative')")
        page.until("document.querySelector('#said .final')")
        page.until("document.querySelector('#latency output').textContent.endsWith(' с')")
        page.until("document.querySelector('#load output').textContent.includes('%')")
        page.click(RECORD)
        page.until(IDLE)
        assert words(page.text()) == words(SPOKEN)
        assert page.notice() == ""
        # The times are those of the recording: silence comes first.
        start, end = page.evaluate(
            "[...document.querySelectorAll('.word')].map(w => w.dataset).map(d => [+d.start, +d.end])"
            ".reduce(([start], [, end]) => [start, end])"
        )
        length = len(read_wav(SAMPLE)) / RATE
        assert 0.9 < start < end < start + length
        latency = page.evaluate("document.querySelector('#latency').getAttribute('aria-valuenow')")
        assert 0 < float(latency) < 30
    sent = [json.loads(m["payloadData"]) for m in page.messages if m["opcode"] == 1]
    assert sent == [
        {"type": "configure", "sample_rate": RATE, "endpoint": "dictation", "mode": "two_pass"},
        {"type": "stop"},
    ]
    # Every piece is 40 ms but the last one.
    sizes = [len(base64.b64decode(m["payloadData"])) for m in page.messages if m["opcode"] == 2]
    assert set(sizes[:-1]) == {1280}


def test_recordings_are_written_down(service, transcribe, tmp_path):
    texts = {r["file"]: r["text"] for r in transcribe([SAMPLE, LONG])}
    with browsing(tmp_path) as page:
        page.show(url(service), language="en-GB")
        assert "drop a recording" in page.evaluate("document.getElementById('hint').textContent")
        page.drop(SAMPLE)
        page.until("document.querySelector('.final')")
        page.until(IDLE)
        assert page.text() == texts[str(SAMPLE)]
        # A word is a place in the recording.
        page.until("!document.getElementById('player').hidden")
        start = page.evaluate("document.querySelectorAll('.word')[3].dataset.start")
        page.click(".word:nth-of-type(4)")
        page.until("!document.getElementById('player').paused")
        assert page.evaluate("document.getElementById('player').currentTime") >= float(start)
        page.until("document.querySelector('.playing')")

        page.choose(LONG)
        page.until("document.querySelectorAll('.final').length > 1")
        page.until(IDLE)
        assert page.text() == texts[str(LONG)]

        page.choose(SAMPLE.with_suffix(".txt"))
        page.until("document.querySelector('.alarm')")
        assert "no audio" in page.notice()


def test_a_phone(service, speech, tmp_path):
    with browsing(tmp_path, *microphone(speech)) as page:
        page.show(url(service), screen=PHONE)
        assert "выберите запись" in page.evaluate("document.getElementById('hint').textContent")
        page.click("#times")
        page.click(RECORD)
        page.until("document.querySelector('#said .final')")
        page.click(RECORD)
        page.until(IDLE)
        assert words(page.text()) == words(SPOKEN)
        # Nothing sticks out sideways, and what is to be pressed is large enough for a thumb.
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        sizes = page.evaluate(
            "[...document.querySelectorAll('footer button')].map(b => b.getBoundingClientRect())"
            ".map(r => [r.left, r.right, r.width, r.height])"
        )
        assert all(l >= 0 and r <= PHONE["width"] and w >= 44 and h >= 44 for l, r, w, h in sizes), sizes


def test_off_loopback_it_says_what_is_missing(service, tmp_path):
    with browsing(tmp_path, "--host-resolver-rules=MAP stt.example 127.0.0.1") as page:
        page.show(url(service, "stt.example"))
        assert "--tls-cert" in page.notice()
        page.click(RECORD)
        page.until(IDLE)
        assert "--tls-cert" in page.notice()
        page.choose(SAMPLE)
        page.until("document.getElementById('notice').textContent.includes('--allow-origin')")
        assert page.notice().endswith(f"--allow-origin http://stt.example:{service.port}")


def test_without_a_clipboard_of_the_browser_the_text_is_copied(program, tmp_path):
    with running(program, tmp_path, "--cors-allow-any") as service:
        with browsing(tmp_path, "--host-resolver-rules=MAP stt.example 127.0.0.1") as page:
            page.show(url(service, "stt.example"))
            assert page.evaluate("navigator.clipboard === undefined")
            page.choose(SAMPLE)
            page.until(f"document.querySelector('.final') && {IDLE}")
            page.click("#copy")
            page.until("document.querySelector('#copy span').textContent === 'Скопировано'")
            page.evaluate("document.getElementById('settings').open = true, document.getElementById('key').focus()")
            page.call("Input.dispatchKeyEvent", type="keyDown", commands=["paste"])
            assert page.evaluate("document.getElementById('key').value") == page.text()
            page.evaluate("document.execCommand = () => false")
            page.click("#copy")
            page.until("document.querySelector('#copy span').textContent === 'Не скопировано'")


def test_a_drain_in_the_middle_of_a_recording_is_told(program, tmp_path):
    """What was heard of it until then is shown, but it is not the whole."""
    with running(program, tmp_path) as service, browsing(tmp_path) as page:
        page.show(url(service))
        # A body without an end, in the place of a long recording.
        page.evaluate("""
            (() => {
                const whole = window.fetch;
                window.fetch = (where, options) => {
                    if (!options.body) return whole(where, options);
                    const final = { type: "final", text: "и", words: [], endpoint_reason: "shutdown" };
                    return Promise.resolve(new Response(`data: ${JSON.stringify(final)}\\n\\n`));
                };
            })()
        """)
        page.choose(SAMPLE)
        page.until("document.querySelector('.alarm')")
        assert "перезапускается" in page.notice()


def test_a_key_that_cannot_be_shown(service, speech, tmp_path):
    """The browser would say which key it was; and the microphone is given back."""
    with browsing(tmp_path, *microphone(speech)) as page:
        page.show(url(service))
        page.evaluate("""
            (() => {
                const devices = navigator.mediaDevices;
                const ask = devices.getUserMedia.bind(devices);
                devices.getUserMedia = async (wishes) => (window.given = await ask(wishes));
                document.getElementById("key").value = "c2VjcmV0/w==";
            })()
        """)
        for begin in [lambda: page.click(RECORD), lambda: page.choose(SAMPLE)]:
            begin()
            page.until(f"document.querySelector('.alarm') && {IDLE}")
            assert "ключ" in page.notice().lower() and "c2VjcmV0" not in page.notice()
            page.until("document.activeElement.id === 'key'")
        assert page.evaluate("window.given.getTracks().map(track => track.readyState)") == ["ended"]


def test_the_page_leaves_its_reader_the_requests_that_he_may_make(program, speech, tmp_path):
    limit = ["--rate-limit-per-minute", 1, "--rate-limit-burst", 2, "--metrics", "--metrics-listen", "127.0.0.1:0"]
    with running(program, tmp_path, *limit) as service, browsing(tmp_path, *microphone(speech, loop=True)) as page:

        def rejected():
            return service.metrics()["gigastt_rate_limit_rejections_total"]

        page.show(url(service))
        page.until("document.querySelector('#load output').textContent.includes('%')")
        page.evaluate("new Promise(resolve => setTimeout(resolve, 3_000))")
        # The second request is the conversation. The question that comes with it is told to wait, and does.
        page.click(RECORD)
        page.until("document.querySelector('#said .final')")
        page.evaluate("new Promise(resolve => setTimeout(resolve, 3_000))")
        page.click(RECORD)
        page.until(IDLE)
        assert rejected() == 1


def test_keys(program, speech, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("open-sesame\n")
    with running(program, tmp_path, "--api-key-file", keys) as service:
        with browsing(tmp_path, *microphone(speech)) as page:
            page.show(url(service))
            page.click(RECORD)
            page.until("document.querySelector('.alarm')")
            assert "ключ" in page.notice()
            page.until("document.activeElement.id === 'key'")
            page.call("Input.insertText", text="open-sesame")
            page.click(RECORD)
            page.until("document.querySelector('#said .final')")
            page.click(RECORD)
            page.until(IDLE)
            assert words(page.text())[-1] == words(SPOKEN)[-1]
        assert "open-sesame" not in service.log


def test_a_restart_of_the_service_is_survived(program, speech, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with browsing(tmp_path, *microphone(speech, loop=True)) as page:
        with running(program, tmp_path, port=port) as service:
            page.show(url(service))
            page.click(RECORD)
            page.until("document.querySelector('#said .final')")
            service.signal(signal.SIGTERM)
            assert service.end() == 0
        page.until("document.getElementById('notice').textContent.startsWith('Связь')")
        before = page.evaluate("document.querySelectorAll('.final').length")
        with running(program, tmp_path, port=port):
            page.until(f"document.querySelectorAll('.final').length > {before} + 1")
            page.click(RECORD)
            page.until(IDLE)
        starts = page.evaluate("[...document.querySelectorAll('.word')].map(w => +w.dataset.start)")
        assert starts == sorted(starts)


def test_any_rate_becomes_16_khz(service, tmp_path):
    """Against what is known of sines: those below 7 kHz stay, those above 8.5 kHz go."""
    resample = """
        (async () => {
            const { Resampler } = await import("/page/capture.js");
            const tone = Float32Array.from({ length: RATE }, (_, n) => Math.sin(2 * Math.PI * HZ * n / RATE) / 2);
            const whole = new Resampler(RATE);
            const once = [...whole.push(tone), ...whole.end()];
            const parts = new Resampler(RATE);
            const pieces = [];
            for (let at = 0; at < tone.length; at += 128) pieces.push(...parts.push(tone.subarray(at, at + 128)));
            pieces.push(...parts.end());
            return [once, pieces];
        })()
    """
    with browsing(tmp_path) as page:
        page.show(url(service))
        for rate, hz in [(8_000, 440), (11_025, 3_000), (16_000, 6_500), (22_050, 1_000), (44_100, 6_500),
                         (44_100, 9_000), (48_000, 440), (48_000, 10_000), (96_000, 6_500), (192_000, 20_000)]:  # fmt: skip
            once, pieces = map(np.array, page.evaluate(resample.replace("RATE", str(rate)).replace("HZ", str(hz))))
            assert abs(len(once) - RATE) <= 1 and len(pieces) == len(once)
            assert np.abs(once - pieces).max() < 1e-6, (rate, hz)
            expected = np.sin(2 * np.pi * hz * np.arange(len(once)) / RATE) / 2 if hz < RATE / 2 else np.zeros(len(once))
            # The ends ring.
            wrong = np.abs(once - expected)[400:-400].max()
            assert wrong < 1e-3, (rate, hz, wrong)


def test_the_page_may_do_nothing_else(service):
    for path in ["/", "/page/app.js", "/page/style.css"]:
        answer = service.http.get(path)
        assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    assert service.http.get("/page/other.js").status_code == 404


def test_the_picture_in_the_readme(service, tmp_path):
    """Takes it; with GIGASTT_WRITE_PICTURE set it becomes that of the readme."""
    with browsing(tmp_path, *microphone(LONG)) as page:
        page.show(url(service), language="en-GB")
        page.click("#times")
        page.click(RECORD)
        page.until("document.querySelectorAll('.final').length >= 3")
        count = "document.querySelectorAll('.partial .word').length"
        page.until(f"{count} - document.querySelectorAll('.tentative').length >= 2 && {count} >= 4")
        page.picture(tmp_path / "page.png")
    picture = ROOT / "docs" / "images" / "page.png"
    if os.environ.get("GIGASTT_WRITE_PICTURE"):
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes((tmp_path / "page.png").read_bytes())
    taken, known = [path.read_bytes()[16:24] for path in (tmp_path / "page.png", picture)]
    assert taken == known, "the picture of the readme has another size; set GIGASTT_WRITE_PICTURE=1 and look at it"
    assert "docs/images/page.png" in (ROOT / "README.md").read_text()
