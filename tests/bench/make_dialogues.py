"""Make spoken dialogues with known words and times, to measure live recognition on.

    python tests/bench/make_dialogues.py FOLDER [--dialogues N] [--seed N]

Sentences that the embedded model was never trained on, of the kinds that it knows, are spoken by variants of
espeak-ng's Russian voice, and joined with pauses and noise. Needs libespeak-ng (Debian:
espeak-ng) and numpy. The same arguments give the same files.

FOLDER/NNN.wav, 16 bits, mono, and FOLDER/NNN.json, with seconds from the recording's start:

    {"noise": "pink, 20 dB", "sentences": [
        {"text": ..., "voice": ..., "speech": [[start, end], ...], "words": [[word, start], ...]}]}

`speech` is where the clean voice can be heard; `words` are the synthesiser's own times.
"""

import argparse
import ctypes
import json
import random
import sys
import wave
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gigastt-core" / "models" / "training"))
import text as texts  # noqa: E402

VOICES = (
    "m1 m2 m3 m4 m5 m7 m8 f1 f2 f3 f4 f5 Alex Alicia Andrea Andy Annie Diogo Gene Henrique Hugo Jacky "
    "Lee Marco Mario Michael adam anika announcer antonio belinda benjamin boris caleb david ed edward "
    "gustave john linda marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro "
    "shelby steph travis victor zac"
).split()
SPEEDS = range(140, 186)
"""Words a minute; 175 is espeak-ng's own."""
SENTENCES = 6
"""In a dialogue."""
PAUSE_S = (0.7, 2.5)
LEVEL_DBFS = (-30.0, -20.0)
"""Of the voice, while it speaks."""
NOISES = (None, ("white", 30), ("pink", 25), ("pink", 15), ("brown", 15))
"""Kind and dB below the voice."""
AUDIBLE = 10 ** (-35 / 20)
"""Of the voice's peak: what is fainter is a pause."""
PAUSE_WITHIN_S = 0.2
"""Shorter gaps belong to the speech around them."""

KINDS = {"command": 0.5, "number": 0.2, "open": 0.3}
"""Of sentences, and their shares."""


class Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class Synthesiser:
    """libespeak-ng, called in this process, because only so it tells when each word begins."""

    AUDIO_OUTPUT_SYNCHRONOUS = 2
    CHARS_UTF8 = 1
    PARAMETER_RATE = 1
    WORD = 1
    CALLBACK = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
    )

    def __init__(self):
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self.library.espeak_Initialize(self.AUDIO_OUTPUT_SYNCHRONOUS, 0, None, 0)
        assert self.rate > 0, "libespeak-ng does not start"
        self.pieces, self.words = [], []
        self.callback = self.CALLBACK(self.heard)
        self.library.espeak_SetSynthCallback(self.callback)

    def heard(self, samples, count, events):
        if samples and count > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        n = 0
        while events[n].type != 0:
            if events[n].type == self.WORD:
                self.words.append((events[n].text_position - 1, events[n].length, events[n].sample))
            n += 1
        return 0

    def say(self, text, voice, words_per_minute):
        """Samples in [-1, 1), and each word with the sample it begins at."""
        self.pieces, self.words = [], []
        name = f"ru+{voice}".encode()
        assert self.library.espeak_SetVoiceByName(name) == 0, f"no voice {voice}"
        self.library.espeak_SetParameter(self.PARAMETER_RATE, words_per_minute, 0)
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(encoded, len(encoded), 0, 1, 0, self.CHARS_UTF8, None, None)
        words = [(text[at : at + length], sample) for at, length, sample in self.words]
        return np.concatenate(self.pieces) / 32_768.0, words


def speech(samples, rate):
    """Where the voice can be heard: ranges of samples."""
    block = rate // 100
    loud = np.abs(samples[: len(samples) // block * block]).reshape(-1, block).max(axis=1)
    heard = np.flatnonzero(loud > AUDIBLE * np.abs(samples).max())
    ranges = []
    for at in heard:
        if ranges and (at - ranges[-1][1]) * block <= PAUSE_WITHIN_S * rate:
            ranges[-1][1] = at + 1
        else:
            ranges.append([at, at + 1])
    return [[start * block, end * block] for start, end in ranges]


def noise(kind, length, generator):
    """Noise of power 1."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length), 1e-3)
    spectrum *= frequency ** {"white": 0.0, "pink": -0.5, "brown": -1.0}[kind]
    samples = np.fft.irfft(spectrum, length)
    return samples / samples.std()


def dialogue(synthesiser, chance, generator):
    """Samples and the record of what is said in them."""
    rate = synthesiser.rate
    level = chance.uniform(*LEVEL_DBFS)
    voices = chance.sample(VOICES, 2)
    writer = texts.Writer(chance.random(), "test")
    pieces, sentences = [np.zeros(rate)], []
    at = rate
    for n in range(SENTENCES):
        text = writer.sentence(*chance.choices(list(KINDS), KINDS.values()))
        voice = voices[n % 2]
        samples, words = synthesiser.say(text, voice, chance.choice(SPEEDS))
        heard = speech(samples, rate)
        first, last = heard[0][0], heard[-1][1]
        voiced = np.concatenate([samples[a:b] for a, b in heard])
        samples = samples[first:last] * (10 ** (level / 20) / voiced.std())
        seconds = lambda sample: round(max(0, sample - first + at) / rate, 3)
        sentences.append({
            "text": text,
            "voice": voice,
            "speech": [[seconds(a), seconds(b)] for a, b in heard],
            "words": [[word, max(seconds(sample), seconds(first))] for word, sample in words],
        })
        pause = int(chance.uniform(*PAUSE_S) * rate)
        pieces += [samples, np.zeros(pause)]
        at += len(samples) + pause
    audio = np.concatenate(pieces)
    kind = chance.choice(NOISES)
    if kind is None:
        audio += 10 ** (-75 / 20) * noise("white", len(audio), generator)
    else:
        audio += 10 ** ((level - kind[1]) / 20) * noise(kind[0], len(audio), generator)
    named = "none" if kind is None else f"{kind[0]}, {kind[1]} dB below"
    return audio, {"noise": named, "sentences": sentences}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dialogues", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    synthesiser = Synthesiser()
    for n in range(args.dialogues):
        chance = random.Random(f"{args.seed}/{n}")
        generator = np.random.default_rng([args.seed, n])
        audio, record = dialogue(synthesiser, chance, generator)
        with wave.open(str(args.folder / f"{n:03}.wav"), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(synthesiser.rate)
            wav.writeframes(np.clip(np.round(audio * 32_768), -32_768, 32_767).astype("<i2").tobytes())
        (args.folder / f"{n:03}.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    print(f"{args.dialogues} dialogues in {args.folder}")


if __name__ == "__main__":
    main()
