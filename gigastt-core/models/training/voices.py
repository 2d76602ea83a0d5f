"""Speech from text: espeak-ng inside this process, with the exact time of every phoneme, and festival beside it.

espeak-ng's voice is Russian; a variant changes its pitch, formants, breath and rhythm. Its own variants are
divided by digest into known and unheard ones. Random variants, made here from a seed, add to the known.
"""

import bisect
import ctypes
import hashlib
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy

RATE = 16_000
SYNCHRONOUS, PHONEME_EVENTS, DONT_EXIT, UTF8 = 2, 1, 0x8000, 1
WORD, PHONEME, END = 1, 7, 0
RATE_WPM, VOLUME, PITCH, RANGE, GAP = 1, 2, 3, 4, 7
UNHEARD_PERCENT = 15
RANDOM_VARIANTS = 200  # The library lists at most 349 voices and variants.


class Event(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int), ("message", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8),
    ]  # fmt: skip


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Espeak:
    """The library, once a process. `folder` receives a copy of its data with the random variants."""

    def __init__(self, folder):
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.library.espeak_Info.restype = ctypes.c_char_p
        path = ctypes.c_char_p()
        self.library.espeak_Info(ctypes.byref(path))
        installed = Path(path.value.decode()) if path.value else None
        installed = installed or next(Path("/usr").glob("lib*/**/espeak-ng-data"))
        self.data = Path(folder) / "espeak-ng-data"
        if not (self.data / "ready").exists():
            prepare(installed, self.data)
        self.rate = self.library.espeak_Initialize(SYNCHRONOUS, 0, str(folder).encode(), PHONEME_EVENTS | DONT_EXIT)
        if self.rate <= 0:
            raise SystemExit("espeak-ng does not start. Next: install espeak-ng-data")
        self.callback = CALLBACK(self.receive)
        self.library.espeak_SetSynthCallback(self.callback)
        self.audio, self.events = [], []

    def receive(self, samples, count, events):
        if count > 0:
            self.audio.append(numpy.ctypeslib.as_array(samples, (count,)).copy())
        at = 0
        while events[at].kind != END:
            event = events[at]
            if event.kind in (WORD, PHONEME):
                self.events.append((event.kind, event.sample, event.text_position))
            at += 1
        return 0

    def say(self, text, variant, wpm, pitch, spread, gap):
        """Samples at the library's rate, and for each word (first, last) borders of its phonemes in samples."""
        self.audio, self.events = [], []
        if self.library.espeak_SetVoiceByName(f"ru+{variant}".encode()) != 0:
            raise ValueError(f"no variant {variant}")
        for parameter, value in ((RATE_WPM, wpm), (PITCH, pitch), (RANGE, spread), (GAP, gap), (VOLUME, 60)):
            self.library.espeak_SetParameter(parameter, value, 0)
        raw = text.encode()
        self.library.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, UTF8, None, None)
        audio = numpy.concatenate(self.audio).astype(numpy.float32) / 32768 if self.audio else numpy.zeros(0, numpy.float32)
        return audio, word_times(self.events, text, len(audio))


def word_times(events, text, end):
    """The borders of each word's phonemes: a list of increasing sample positions for each word, None if unclear."""
    starts, at = [], 0
    for word in text.split(" "):
        starts.append(at + 1)  # espeak counts characters from 1.
        at += len(word) + 1
    groups, running = [[] for _ in starts], None
    for kind, sample, position in events:
        if kind == WORD and position > 0:  # Sometimes the position is that of the space before.
            running = max(0, bisect.bisect_right(starts, position) - 1)
        elif running is not None:
            groups[running].append(sample)
    if not all(groups):
        return None
    borders = []
    for i, group in enumerate(groups):
        after = groups[i + 1][0] if i + 1 < len(groups) else end
        own = [s for s in group if s <= after]
        borders.append(sorted(own) + [after])
    return borders


def is_unheard(variant):
    return int(hashlib.md5(variant.encode()).hexdigest(), 16) % 100 < UNHEARD_PERCENT


def installed_variants(data):
    """Names of espeak's own variants that speak in a voice; a whisper has none, and Demonic ends the process."""
    names = sorted(p.name for p in (data / "voices" / "!v").iterdir() if not p.name.startswith("random"))
    return [n for n in names if " " not in n and "whisper" not in n and n not in ("croak", "Demonic")]


def prepare(installed, data):
    """A copy of the installed data in which the random variants lie beside the others."""
    building = data.with_name(f"{data.name}.{random.randrange(1 << 30)}")
    shutil.copytree(installed, building, ignore=others)
    for seed in range(RANDOM_VARIANTS):
        (building / "voices" / "!v" / f"random{seed:03}").write_text(random_variant(seed))
    (building / "ready").touch()
    try:
        building.rename(data)
    except OSError:  # Another process was faster.
        shutil.rmtree(building)


def others(folder, names):
    """Voices of other languages and of other synthesisers, which would fill the library's list."""
    kept = {"lang": {"zle"}, "zle": {"ru"}, "voices": {"!v"}}.get(Path(folder).name, set(names))
    return set(names) - kept


def random_variant(seed):
    """The description of a voice that nobody has."""
    r = random.Random(f"variant {seed}")
    base = r.choice([70, 85, 100, 120, 150, 180, 210, 240])
    tract = {70: 0.95, 85: 0.97, 100: 1.0, 120: 1.03, 150: 1.07, 180: 1.12, 210: 1.15, 240: 1.2}[base] * r.uniform(0.93, 1.07)
    lines = ["language variant", f"name random{seed}", f"gender {'male' if base < 140 else 'female'}"]
    lines += [f"pitch {base} {int(base * r.uniform(1.15, 1.7))}"]
    for n in range(9):
        frequency = tract * r.uniform(0.94, 1.06) * 100 if n else 100
        lines.append(f"formant {n} {frequency:.0f} {r.randint(70, 120)} {r.randint(70, 130)}")
    if r.random() < 0.2:
        lines.append(f"klatt {r.randint(1, 5)}")
    if r.random() < 0.4:
        lines.append(f"roughness {r.randint(0, 5)}")
    if r.random() < 0.4:
        lines.append(f"flutter {r.randint(0, 20)}")
    if r.random() < 0.4:
        lines.append(f"voicing {r.randint(60, 130)}")
    if r.random() < 0.3:
        lines.append(f"consonants {r.randint(80, 120)} {r.randint(80, 120)}")
    if r.random() < 0.2:
        lines.append(f"breath {' '.join(str(r.randint(0, 30)) for _ in range(6))}")
    if r.random() < 0.3:
        lines.append(f"echo {r.randint(10, 80)} {r.randint(5, 30)}")
    if r.random() < 0.3:
        lines.append(f"stressLength {' '.join(str(r.randint(120, 240)) for _ in range(8))}")
    return "\n".join(lines) + "\n"


class Voices:
    """Speakers of espeak-ng of one kind: `known` or `unheard`."""

    def __init__(self, espeak, kind):
        own = installed_variants(espeak.data)
        self.espeak, self.kind = espeak, kind
        self.unheard = [v for v in own if is_unheard(v)]
        self.known = [v for v in own if not is_unheard(v)]

    def say(self, text, r, plain=False):
        """Samples at 16 kHz and the borders of each word's phonemes in them. `plain`: no random variants."""
        while True:
            if self.kind == "unheard":
                variant = r.choice(self.unheard)
            else:
                variant = r.choice(self.known) if plain or r.random() < 0.5 else f"random{r.randrange(RANDOM_VARIANTS):03}"
            wpm = int(r.triangular(110, 240, 165))
            audio, borders = self.espeak.say(text, variant, wpm, r.randint(25, 75), r.randint(25, 75), r.choice([0, 0, 0, 1, 3]))
            if borders and len(audio) and float(numpy.abs(audio).max()) > 0.02:
                return resample(audio, self.espeak.rate), [
                    [b * RATE // self.espeak.rate for b in word] for word in borders
                ]


def resample(audio, rate):
    """Band-limited, by the transform of the whole: synthesised sentences are short."""
    if rate == RATE:
        return audio
    padded = next_fast(len(audio), rate)
    spectrum = numpy.fft.rfft(audio, padded)
    count = padded * RATE // rate
    return numpy.fft.irfft(spectrum[: count // 2 + 1], count).astype(numpy.float32)[: len(audio) * RATE // rate] * (RATE / rate)


def next_fast(length, rate):
    """A length that both rates share whole: for 22 050 Hz a multiple of 441, for 16 000 Hz of one."""
    step = rate // int(numpy.gcd(rate, RATE))
    return -(-length // (step * 8)) * step * 8


# Writes each recording and, a line for each word of the text, where its phonemes begin and end.
FESTIVAL = """(voice_msu_ru_nsh_clunits)
(define (edges token file)
  (mapcar (lambda (word)
    (mapcar (lambda (syllable)
      (mapcar (lambda (segment)
        (format file "%f %f " (item.feat segment "segment_start") (item.feat segment "end")))
        (item.daughters (item.relation syllable 'SylStructure))))
      (item.daughters (item.relation word 'SylStructure))))
    (item.daughters token))
  (format file "\\n"))
(define (say text name)
  (let ((utt (utt.synth (eval (list 'Utterance 'Text text)))) (file (fopen (string-append name ".txt") "w")))
    (utt.save.wave utt (string-append name ".wav") 'riff)
    (let ((token (utt.relation.first utt 'Token)))
      (while token (edges token file) (set! token (item.next token))))
    (fclose file)))
"""


def festival(texts, folder):
    """Speaks texts with festival's voice msu_ru_nsh; yields samples at 16 kHz in order, and the borders of each
    word's phonemes in them, None where festival counts other words than spaces separate."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        lines = [f'(say "{text}" "{work}/{i}")' for i, text in enumerate(texts)]
        (Path(work) / "script.scm").write_text(FESTIVAL + "\n".join(lines), encoding="utf-8")
        subprocess.run(["festival", "-b", f"{work}/script.scm"], check=True, capture_output=True)
        for i, text in enumerate(texts):
            raw = (Path(work) / f"{i}.wav").read_bytes()
            rate = int.from_bytes(raw[24:28], "little")
            samples = resample(numpy.frombuffer(raw[44:], numpy.int16).astype(numpy.float32) / 32768, rate)
            rows = [line.split() for line in (Path(work) / f"{i}.txt").read_text().splitlines()]
            borders = [sorted({int(float(edge) * RATE) for edge in row}) for row in rows]
            clear = len(borders) == len(text.split(" ")) and all(len(word) > 1 for word in borders)
            yield samples, borders if clear else None


class Festival:
    """Sentences that festival spoke, kept in `folder` for all runs and processes."""

    def __init__(self, folder, sentences):
        kept = Path(folder) / "festival.npz"
        if not kept.exists():
            spoken = zip(sentences, festival(sentences, folder))
            items = [(sentence, samples, borders) for sentence, (samples, borders) in spoken if borders]
            writing = kept.with_suffix(f".{random.randrange(1 << 30)}.npz")
            samples = numpy.concatenate([numpy.round(samples * 32768).astype(numpy.int16) for _, samples, _ in items])
            ends = numpy.cumsum([len(samples) for _, samples, _ in items])
            said = json.dumps([[sentence, borders] for sentence, _, borders in items])
            numpy.savez(writing, samples=samples, ends=ends, said=said)
            writing.replace(kept)
        with numpy.load(kept) as columns:
            samples = numpy.split(columns["samples"], columns["ends"][:-1])
            self.items = [(*said, own) for said, own in zip(json.loads(str(columns["said"])), samples)]

    def say(self, r, short):
        """A sentence, its samples and the borders of each word's phonemes; `short`: at most 36 letters."""
        while True:
            sentence, borders, samples = r.choice(self.items)
            if not short or len(sentence) <= 36:
                return sentence, samples.astype(numpy.float32) / 32768, borders
