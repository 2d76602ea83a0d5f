"""Error rates on held-out sentences, by kind and by voice: `evaluate.py FOLDER GIGASTT MODEL...`.

Makes recordings of sentences that training never sees, COUNT of each kind in each voice, with manifests for
`gigastt eval`, and prints the word error rates of each model. FOLDER keeps the recordings; who chooses a model by
these figures has tuned on them.
"""

import argparse
import json
import random
import subprocess
import wave
from pathlib import Path

import numpy

import sound
import text
import voices

SEED = "held out"
# What is spoken how: whose voices, and whether a room and noise come over them.
SETS = {
    "known": ("known", False),
    "unheard": ("unheard", False),
    "noisy": ("known", True),
    "festival": ("festival", False),
}


def make(folder, count):
    """Writes the recordings and a manifest for each set and kind; those that are there are kept."""
    espeak = voices.Espeak(folder)
    for name, (voice, noisy) in SETS.items():
        for kind in text.KINDS:
            manifest = folder / f"{name}-{kind}.jsonl"
            if not manifest.exists():
                # The same sentences in every voice.
                writer = text.Writer(f"{SEED} {kind}", "test")
                sentences = list(dict.fromkeys(writer.sentence(kind) for _ in range(2 * count)))[:count]
                record(folder, manifest, sentences, speak(espeak, voice, sentences, folder), noisy)


def speak(espeak, voice, sentences, folder):
    if voice == "festival":
        yield from (samples for samples, _ in voices.festival(sentences, folder))
        return
    speakers, r = voices.Voices(espeak, voice), random.Random(f"{SEED} {voice}")
    for sentence in sentences:
        yield speakers.say(sentence, r, plain=True)[0]


def record(folder, manifest, sentences, spoken, noisy):
    r = numpy.random.default_rng(1)
    lines = []
    for n, (sentence, samples) in enumerate(zip(sentences, spoken)):
        samples = sound.surround(samples, r, sound.RATE // 4, sound.RATE // 4)
        samples = sound.augment(samples, r, 1.0 if noisy else 0.0)
        name = f"{manifest.stem}/{n:04}.wav"
        (folder / manifest.stem).mkdir(exist_ok=True)
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, sound.RATE, 0, "NONE", ""))
            file.writeframes(numpy.clip(numpy.round(samples * 32768), -32768, 32767).astype("<i2").tobytes())
        lines.append(json.dumps({"audio_filepath": name, "text": sentence}, ensure_ascii=False) + "\n")
    manifest.write_text("".join(lines), encoding="utf-8")


def measure(gigastt, model, manifest):
    """What `gigastt eval` says of a set, of words without case and punctuation."""
    command = [gigastt, "eval", "--model", model, "--manifest", manifest, "--compare", "words", "--json", "--quiet"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[-1])["file"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("gigastt", help="the program")
    parser.add_argument("models", nargs="+", help="folders of models, or `embedded`")
    parser.add_argument("--count", type=int, default=150)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    make(arguments.folder, arguments.count)
    for model in arguments.models:
        print(f"{model}\n{'':10}" + "".join(f"{kind:>24}" for kind in text.KINDS))
        for name in SETS:
            row = f"{name:10}"
            for kind in text.KINDS:
                found = measure(arguments.gigastt, model, arguments.folder / f"{name}-{kind}.jsonl")
                of = found["words"]
                row += f"{100 * of['rate']:8.1f} ({100 * of['low']:4.1f} to {100 * of['high']:4.1f})"
            print(row, flush=True)


if __name__ == "__main__":
    main()
