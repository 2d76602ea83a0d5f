"""What concerns the whole process: signals, forks, imports and the log. Each in a process of its own."""

import subprocess
import sys
import textwrap

import pytest
from samples import ROOT


def python(code, *values, arguments=(), **variables):
    """Runs a program from the project's folder; returns what it printed. It must end well and say nothing."""
    import os

    program = "import sys, gigastt\nsys.path.insert(0, 'gigastt-py/tests')\n" + textwrap.dedent(code)
    command = [sys.executable, *arguments, "-c", program, *map(str, values)]
    environment = {**os.environ, **variables}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    return run.stdout


@pytest.mark.parametrize(
    "wait",
    [
        "rec.next_event()",
        "rec.wait_writable()",
        "rec.push_pcm(SPEECH)",
        "rec.finish()",
        "list(rec.events())",
        "engine.transcribe(SPEECH, sample_rate=16_000)",
        "engine.transcribe(SPEECH, sample_rate=16_000, progress=lambda state: None)",
        "list(engine.transcribe_many([SPEECH] * 9, sample_rate=16_000))",
    ],
)
def test_ctrl_c_ends_a_wait(wait):
    """The signal comes in the wait, and on a machine that is held up at worst before it begins."""
    printed = python(
        f"""
        import signal
        from samples import SPEECH, STUCK_S, scripted
        engine = scripted(STUCK_S)
        with engine.recognizer(partials=False, backlog_ms=1_000) as rec:
            while rec.push_pcm(SPEECH, block=False):
                pass
            rec.next_event()
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                {wait}
            except KeyboardInterrupt:
                print("interrupted")
        """
    )
    assert printed == "interrupted\n"


@pytest.mark.parametrize(
    "wait",
    [
        "await rec.next_event()",
        "await rec.wait_writable()",
        "await rec.push_pcm(SPEECH)",
        "await rec.finish()",
        "async for _ in rec.events(): pass",
    ],
)
def test_ctrl_c_ends_an_event_loop(wait):
    printed = python(
        f"""
        import asyncio, signal
        from samples import SPEECH, STUCK_S, scripted
        # A process in the background may have been started with the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        async def main():
            async with scripted(STUCK_S).recognizer(partials=False, backlog_ms=1_000) as rec:
                while rec._native.push_pcm(SPEECH, False, None):
                    pass
                await rec.next_event()
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                {wait}
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert printed == "interrupted\n"


def test_a_timeout_ends_a_recording_in_an_event_loop():
    """Also in its thread, for which the loop waits."""
    printed = python(
        """
        import asyncio
        from samples import SPEECH, SPOKEN, STUCK_S, scripted
        async def main():
            result = await scripted().transcribe_async(SPEECH, sample_rate=16_000, endpoint="dictation")
            assert result.text == SPOKEN
            async with asyncio.timeout(0.1):
                await scripted(STUCK_S).transcribe_async(SPEECH, sample_rate=16_000)
        try:
            asyncio.run(main())
        except TimeoutError:
            print("timeout")
        """
    )
    assert printed == "timeout\n"


def test_a_forked_child_is_told():
    """Fails when the engine does not compare the process that made it with its own."""
    printed = python(
        """
        import os, threading
        from samples import SPEECH, SPOKEN, STUCK_S, scripted
        engine = gigastt.Engine(threads=1)
        stuck = scripted(STUCK_S)
        rec = stuck.recognizer(partials=False)
        rec.push_pcm(SPEECH)
        # A thread that waits, and may hold what the child needs.
        threading.Thread(target=lambda: list(rec.events()), daemon=True).start()
        child = os.fork()
        if not child:
            calls = (
                rec.finish, rec.close, rec.cancel, rec.poll_partial, rec.poll_event, rec.stats, rec.force_endpoint,
                lambda: rec.push_pcm(SPEECH), lambda: rec.gap(1), lambda: rec.wait_writable(1),
                lambda: rec.next_event(1), lambda: rec.set_partials(False), lambda: rec.set_endpoint("file"),
                engine.stats, engine.recognizer,
                lambda: engine.transcribe("tests/samples/sample_08.wav"),
            )
            told = 0
            for call in calls:
                try:
                    call()
                except gigastt.ForkedError:
                    told += 1
            own = scripted()
            with own.recognizer() as mine:
                mine.push_pcm(SPEECH)
                works = mine.finish().text == SPOKEN
            again = gigastt.Engine(threads=1).transcribe("tests/samples/sample_08.wav").text
            del engine, stuck, rec, own, mine
            os._exit(0 if (told, works, again[:6]) == (len(calls), True, "Заведи") else 1)
        assert os.waitpid(child, 0)[1] == 0
        print(engine.transcribe("tests/samples/sample_08.wav"))
        rec.cancel()
        """
    )
    assert printed == "Заведи будильник на завтра на три часа.\n"


def test_a_forked_child_leaves_a_stream_with_its_own_exception():
    """`sys.exit` in the block ends the child, and the parent's stream goes on."""
    printed = python(
        """
        import os
        from samples import SPEECH, SPOKEN, scripted
        engine = scripted()
        with engine.recognizer(partials=False) as rec:
            if (child := os.fork()) == 0:
                sys.exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            rec.push_pcm(SPEECH)
            assert rec.finish().text == SPOKEN
        """
    )
    assert printed == "3\n"


def test_what_a_signals_handler_raises_ends_a_push_that_took_a_part():
    printed = python(
        """
        import signal
        from samples import SPEECH, STUCK_S, scripted
        def handler(*_):
            raise RuntimeError("alarm")
        signal.signal(signal.SIGALRM, handler)
        with scripted(STUCK_S).recognizer(partials=False, backlog_ms=1_000) as rec:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                rec.push_pcm(SPEECH.repeat(9))
            except RuntimeError as error:
                print(error)
        """
    )
    assert printed == "alarm\n"


def test_finish_goes_on_after_an_alarm():
    """Two finals are there; the third takes longer than the alarm."""
    printed = python(
        """
        import signal, time
        from samples import LONGER, LONGER_SPOKEN, scripted
        class Alarm(Exception):
            pass
        def handler(*_):
            raise Alarm
        signal.signal(signal.SIGALRM, handler)
        with scripted(0.2).recognizer(partials=False) as rec:
            rec.push_pcm(LONGER)
            while rec.stats().windows:
                # Takes what came from the model.
                rec.push_pcm(LONGER[:0])
                time.sleep(0.001)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                rec.finish()
            except Alarm:
                assert rec.finish().text == LONGER_SPOKEN
            try:
                rec.finish()
            except gigastt.ClosedError:
                print("closed")
        """
    )
    assert printed == "closed\n"


def test_ctrl_c_ends_the_wait_for_a_model():
    """That is being loaded: it comes with the first record of the log, whose handler then waits."""
    printed = python(
        """
        import logging, signal, threading
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        interrupted = threading.Event()
        class Stalled(logging.Handler):
            def emit(self, record):
                signal.raise_signal(signal.SIGALRM)
                interrupted.wait()
        logging.getLogger("gigastt").addHandler(Stalled())
        logging.getLogger("gigastt").setLevel("INFO")
        try:
            gigastt.Engine(threads=1)
        except KeyboardInterrupt:
            print("interrupted")
        interrupted.set()
        """
    )
    assert printed == "interrupted\n"


def test_a_stalled_pipe_is_left():
    """By Ctrl-C, in the head of the file and behind it; and by transcribe_many, whose threads get no signals."""
    printed = python(
        """
        import os, signal
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        engine = gigastt.Engine(threads=1)
        recording = open("tests/samples/sample_08.wav", "rb").read()
        def interrupted(bytes, call):
            ours, theirs = os.pipe()
            os.write(theirs, recording[:bytes])
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            try:
                call(open(ours, "rb", buffering=0))
            except KeyboardInterrupt:
                print("interrupted")
        for bytes in (0, 40_000):
            interrupted(bytes, engine.transcribe)
            interrupted(bytes, lambda file: list(engine.transcribe_many([file])))
        """
    )
    assert printed == "interrupted\n" * 4


def test_the_last_stream_of_an_engine_is_dropped_without_the_interpreters_lock():
    """Which waits for the model's call, here for ever; meanwhile another thread ends the process."""
    python(
        """
        import os, threading, time
        from samples import STAYS, scripted, signal
        engine = scripted()
        rec = engine.recognizer(partials=False, endpoint="manual")
        rec.push_pcm(signal((STAYS, 100)))
        rec.force_endpoint()
        while engine.stats().queued or not rec.stats().windows:
            time.sleep(0.001)
        engine.close()
        dropped = threading.Event()
        threading.Thread(target=lambda: dropped.wait() and os._exit(0)).start()
        # The other thread runs only when this one lets it.
        sys.setswitchinterval(600)
        dropped.set()
        del rec
        """
    )


@pytest.mark.parametrize("first", ["onnxruntime", "gigastt"])
def test_beside_onnxruntime(first):
    """Both load the library, in both orders, and both run."""
    model = "gigastt-core/models/embedded/v3_e2e_rnnt_decoder.int8w.onnx"
    printed = python(
        f"""
        import numpy as np, threading
        def theirs():
            import onnxruntime
            session = onnxruntime.InferenceSession({model!r})
            feed = {{i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape],
                     np.float32 if "float" in i.type else np.int64) for i in session.get_inputs()}}
            return lambda: session.run(None, feed)
        def ours():
            engine = gigastt.Engine(threads=2)
            return lambda: print(engine.transcribe("tests/samples/sample_08.wav"))
        make = (theirs, ours) if {first!r} == "onnxruntime" else (ours, theirs)
        runs = [each() for each in make] * 2
        threads = [threading.Thread(target=run) for run in runs]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )
    assert printed == "Заведи будильник на завтра на три часа.\n" * 2


def test_the_log_goes_to_logging():
    printed = python(
        """
        import logging
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
        gigastt.Engine(threads=1)
        """
    )
    assert printed.startswith("INFO gigastt.model.ort ONNX Runtime: ")
    printed = python(
        """
        import logging
        logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
        gigastt.Engine(threads=1)
        """
    )
    assert printed == ""


def test_a_download_is_logged_before_there_is_an_engine(tmp_path):
    printed = python(
        """
        import http.server, logging, os, threading
        class Hub(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(503)
            def log_message(self, *_):
                pass
        hub = http.server.HTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        os.environ["GIGASTT_HUB"] = f"http://127.0.0.1:{hub.server_port}"
        os.environ.pop("GIGASTT_OFFLINE", None)
        class Told(logging.Handler):
            def emit(self, record):
                print(record.name, record.getMessage(), flush=True)
                os._exit(0)
        logging.getLogger("gigastt").addHandler(Told())
        logging.getLogger("gigastt").setLevel("INFO")
        gigastt.Engine.from_pretrained(models=sys.argv[1])
        """,
        tmp_path,
    )
    assert printed.startswith("gigastt.download ") and "503" in printed


def test_a_good_recording_is_no_reason_to_warn():
    printed = python(
        """
        import logging
        logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
        gigastt.Engine(threads=1).transcribe("gigastt-core/tests/data/audio/aac.m4a")
        """
    )
    assert printed == ""


def test_a_log_handler_that_fails_fails_alone():
    printed = python(
        """
        import logging
        class Broken(logging.Handler):
            def emit(self, record):
                raise RuntimeError("disk full")
        logging.getLogger("gigastt").addHandler(Broken())
        logging.getLogger("gigastt").setLevel("INFO")
        sys.unraisablehook = lambda failure: print(failure.exc_value)
        print(gigastt.Engine(threads=1).transcribe("tests/samples/sample_08.wav"))
        """
    )
    assert printed == "disk full\nЗаведи будильник на завтра на три часа.\n"


def test_the_library_is_the_one_that_is_named(tmp_path):
    wrong = tmp_path / "libonnxruntime.so"
    wrong.write_bytes(b"no library")
    code = """
        try:
            gigastt.Engine()
        except gigastt.RuntimeLibraryError as error:
            print(error.code, error.subject)
        """
    assert python(code, GIGASTT_ORT=str(wrong)) == f"runtime {wrong}\n"
    # Without the package the engine's own search goes on, and `runtime` names one as well.
    code = f"""
        sys.modules["onnxruntime"] = None
        try:
            gigastt.Engine(runtime={str(wrong)!r})
        except gigastt.RuntimeLibraryError as error:
            print(error.subject)
        """
    assert python(code) == f"{wrong}\n"


def test_the_import_brings_neither_numpy_nor_asyncio():
    printed = python(
        """
        heavy = {"numpy", "pandas", "tqdm", "onnxruntime", "asyncio", "ray"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    assert printed == "[]\n"


def test_a_process_ends_with_streams_open():
    python(
        """
        import asyncio, threading
        from samples import SPEECH, STUCK_S, scripted
        engine = scripted(STUCK_S)
        rec = engine.recognizer(partials=False)
        rec.push_pcm(SPEECH)
        threading.Thread(target=lambda: list(rec.events()), daemon=True).start()
        async def main():
            stream = await engine.recognizer(partials=False).__aenter__()
            await stream.push_pcm(SPEECH)
            try:
                await asyncio.wait_for(stream.next_event(), 1)
                await asyncio.wait_for(stream.next_event(), 0.01)
            except TimeoutError:
                pass
        asyncio.run(main())
        """
    )


def test_a_process_ends_with_recordings_under_way():
    """Of an iterator that is still held; one of them comes from a pipe that says nothing."""
    python(
        """
        import os
        silent = open(os.pipe()[0], "rb", buffering=0)
        results = gigastt.Engine(threads=1).transcribe_many(["tests/samples/sample_08.wav", silent, silent])
        next(results)
        """
    )
