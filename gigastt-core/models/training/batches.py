"""What is heard at a step: sentences, voices, augmentation and alignments, all from the step's number."""

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor

import numpy
import torch

import sound
import text
import voices
from network import frames_after

KINDS = (0.2, 0.25, 0.55)  # The shares of text.KINDS.
BUCKETS = 4  # So many batches are made at once and sorted by length, which saves padding.
VOCABULARY = [*text.pieces(), "<blk>"]


class Batch:
    """Made of arrays, so that it passes between processes; `on` a device its columns are tensors.

    `features` [B, 64, T] and their `lengths`, `tokens` [B, U] and their `counts`, `marks`: the encoder frame of each
    token, `targets` [B, T']: a class for each encoder frame."""

    COLUMNS = ("features", "lengths", "tokens", "counts", "targets")

    def __init__(self, items):
        mels = [sound.log_mel(samples) for samples, _, _ in items]
        self.lengths = numpy.array([m.shape[1] for m in mels])
        self.features = numpy.full((len(mels), sound.MELS, self.lengths.max()), -20.0, numpy.float32)
        for row, mel in zip(self.features, mels):
            row[:, : mel.shape[1]] = mel
        self.counts = numpy.array([len(t) for _, t, _ in items])
        self.tokens = numpy.zeros((len(items), self.counts.max()), numpy.int64)
        for row, (_, tokens, _) in zip(self.tokens, items):
            row[: len(tokens)] = tokens
        self.marks = [marks for _, _, marks in items]
        self.targets = frame_targets(items, frames_after(self.lengths))

    def on(self, device):
        for name in self.COLUMNS:
            setattr(self, name, torch.as_tensor(getattr(self, name)).to(device))
        return self


class Source:
    """Batches of one process."""

    def __init__(self, folder, plan, rank, ranks):
        self.voices = voices.Voices(voices.Espeak(folder), "known")
        self.festival = voices.Festival(folder, festival_sentences(plan)) if plan.festival else None
        self.plan, self.rank, self.ranks = plan, rank, ranks
        self.group, self.batches = None, []

    def at(self, step):
        """The batch of a step. Steps of one group are made together."""
        group = step // BUCKETS
        if group != self.group:
            self.group, self.batches = group, self.make(group)
        return self.batches[step % BUCKETS]

    def make(self, group):
        seed = f"{self.plan.seed} {group} {self.rank} of {self.ranks}"
        r = random.Random(seed)
        writer = text.Writer(seed)
        noise = numpy.random.default_rng(numpy.frombuffer(r.randbytes(16), numpy.uint32))
        progress = group * BUCKETS / self.plan.steps
        items, total = [], 0
        longest = int(sound.RATE * (4 if progress < 0.1 else 8 if progress < 0.4 else 16 if progress < 0.7 else 22))
        while total < self.plan.batch_s * sound.RATE * BUCKETS:
            item = self.item(writer, r, noise, progress, longest)
            if len(item[0]) <= longest:
                items.append(item)
                total += len(item[0])
        items.sort(key=lambda item: len(item[0]))
        batches, start, share = [], 0, total / BUCKETS
        filled = 0
        for at, item in enumerate(items):
            filled += len(item[0])
            if filled >= share * (len(batches) + 1) or at + 1 == len(items):
                batches.append(items[start : at + 1])
                start = at + 1
        batches = [b for b in batches if b][:BUCKETS]
        r.shuffle(batches)
        while len(batches) < BUCKETS:
            batches.append(batches[0])
        return [Batch(b) for b in batches]

    def item(self, writer, r, noise, progress, longest):
        """Samples, tokens, and the encoder frame of each token: of sentences said one after another, or of noise."""
        count = 1 if longest < 8 * sound.RATE or r.random() < 0.75 else r.randint(2, 6)
        if r.random() < 0.02:
            samples = sound.noise(noise, int(sound.RATE * r.uniform(0.3, 3)))
            return sound.augment(samples.astype(numpy.float32), noise, 1.0), [], []
        parts, tokens, marks, at = [], [], [], 0
        for n in range(count):
            short = n == 0 and longest < 5 * sound.RATE
            if self.festival and r.random() < self.plan.festival_share:
                sentence, samples, borders = self.festival.say(r, short)
            else:
                kind = r.choices(text.KINDS, KINDS)[0]
                sentence = writer.sentence(kind)
                while short and len(sentence) > 36:
                    sentence = writer.sentence(kind)
                samples, borders = self.voices.say(sentence, r)
            if r.random() < 0.6:
                factor = r.uniform(0.85, 1.15)
                samples = sound.speed(samples, factor)
                borders = [[b / factor for b in word] for word in borders]
            pause = int(sound.RATE * r.triangular(0.05, 0.9, 0.3))
            found, owners = text.tokens(sentence, VOCABULARY)
            marks += [int((at + pause + s) // sound.FRAME) for s in spread(owners, borders)]
            tokens += found
            parts += [numpy.zeros(pause, numpy.float32), samples]
            at += pause + len(samples)
        parts.append(numpy.zeros(int(sound.RATE * r.triangular(0.02, 0.9, 0.3)), numpy.float32))
        strength = 0.2 + 0.6 * min(1.0, progress * 2)
        samples = sound.augment(numpy.concatenate(parts), noise, strength)
        last = (len(samples) - sound.WINDOW) // sound.HOP // 4
        return samples, tokens, [min(m, last) for m in marks]


class Ahead:
    """The batches of the only process that trains, made by others while it does."""

    def __init__(self, folder, plan, workers):
        Source(folder, plan, 0, 1)  # What all of them share in the folder is made once.
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(workers, spawn, begin, (folder, plan))
        self.groups, self.most = -(-plan.steps // BUCKETS), 2 * workers
        self.coming, self.group, self.batches = {}, None, []

    def at(self, step):
        group = step // BUCKETS
        if group != self.group:
            for later in range(group, min(group + self.most, self.groups)):
                if later not in self.coming:
                    self.coming[later] = self.pool.submit(make, later)
            self.group, self.batches = group, self.coming.pop(group).result()
        return self.batches[step % BUCKETS]


def begin(folder, plan):
    """What a process of `Ahead` does first."""
    global source
    source = Source(folder, plan, 0, 1)


def make(group):
    return source.make(group)


def festival_sentences(plan):
    """What festival says: it is slow, so that its sentences are made once and heard again and again."""
    writer, r = text.Writer(f"{plan.seed} festival"), random.Random(plan.seed)
    return [writer.sentence(r.choices(text.KINDS, KINDS)[0]) for _ in range(plan.festival)]


def spread(owners, borders):
    """The sample in the middle of each token: letters share the phonemes of their word in order."""
    found = []
    for word, edges in enumerate(borders):
        count = owners.count(word)
        where = (numpy.arange(count) + 0.5) / count * (len(edges) - 1)
        found += list(numpy.interp(where, numpy.arange(len(edges)), edges))
    return found


def frame_targets(items, frames):
    """A class for each encoder frame: the token spoken there, else blank. A taken frame passes its token on."""
    targets = numpy.full((len(items), frames.max()), len(VOCABULARY) - 1)
    for row, (_, tokens, marks), count in zip(targets, items, frames):
        free = 0
        for token, mark in zip(tokens, marks):
            at = max(mark, free)
            if at >= count or at > mark + 2:
                continue
            row[at] = token
            free = at + 1
    return targets
