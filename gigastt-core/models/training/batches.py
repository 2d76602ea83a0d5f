"""What is heard at a step: sentences, voices, augmentation and alignments, all from the step's number."""

import random

import numpy
import torch

import sound
import text
import voices

KINDS = (0.2, 0.25, 0.55)  # The shares of text.KINDS.
BUCKETS = 4  # So many batches are made at once and sorted by length, which saves padding.
VOCABULARY = [*text.pieces(), "<blk>"]


class Batch:
    def __init__(self, items):
        mels = [sound.log_mel(samples) for samples, _, _ in items]
        self.lengths = torch.tensor([m.shape[1] for m in mels])
        self.features = torch.full((len(mels), sound.MELS, int(self.lengths.max())), -20.0)
        for row, mel in zip(self.features, mels):
            row[:, : mel.shape[1]] = torch.from_numpy(mel)
        self.tokens = torch.zeros(len(items), max(len(t) for _, t, _ in items), dtype=torch.long)
        self.counts = torch.tensor([len(t) for _, t, _ in items])
        for row, (_, tokens, _) in zip(self.tokens, items):
            row[: len(tokens)] = torch.tensor(tokens)
        self.marks = [marks for _, _, marks in items]
        self.texts = None


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
        longest = int(sound.RATE * (4 if progress < 0.1 else 8 if progress < 0.5 else 16))
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
        """Samples, tokens, and the encoder frame of each token. Of the sentences said one after another."""
        count = 1 if longest < 8 * sound.RATE or r.random() < 0.75 else r.randint(2, 4)
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


def frame_targets(batch, frames, blank):
    """A class for each encoder frame: the token spoken there, else blank. A taken frame passes its token on."""
    targets = torch.full((len(frames), max(frames)), blank)
    for row, tokens, marks, count in zip(targets, batch.tokens.tolist(), batch.marks, frames):
        free = 0
        for token, mark in zip(tokens, marks):
            at = max(mark, free)
            if at >= count or at > mark + 2:
                continue
            row[at] = token
            free = at + 1
    return targets
