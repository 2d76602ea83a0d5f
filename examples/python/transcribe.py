"""A recording in, words with times out: `python examples/python/transcribe.py FILE`."""

import sys

import gigastt


def main() -> None:
    engine = gigastt.Engine()  # or gigastt.Engine("folder with the files of GigaAM v3")
    for path in sys.argv[1:]:
        result = engine.transcribe(path)
        for word in result.words:
            print(f"{word.start:7.2f} to {word.end:7.2f} s  {word.text}")


if __name__ == "__main__":
    main()
