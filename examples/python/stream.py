"""Live recognition of 16-bit samples on standard input:

    ffmpeg -re -i talk.ogg -f s16le -ac 1 -ar 16000 - | python examples/python/stream.py
"""

import sys

import gigastt

CHUNK = 640
"""20 ms of samples."""


def main() -> None:
    engine = gigastt.Engine()
    with engine.recognizer(sample_rate=16_000, endpoint="assistant") as rec:
        while chunk := sys.stdin.buffer.read(CHUNK):
            rec.push_pcm(chunk)
            while (event := rec.poll_event()) is not None:
                show(event)
        rec.close()
        for event in rec.events():
            show(event)


def show(event: gigastt.Event) -> None:
    match event:
        case gigastt.Partial(text=text):
            sys.stderr.write(f"\r{text}")
        case gigastt.Segment(text=text):
            sys.stderr.write("\r")
            print(text)
        case gigastt.End(error=gigastt.Error() as error):
            raise error


if __name__ == "__main__":
    main()
