"""The RNN transducer's loss along a known alignment.

Speech synthesis says when each letter was spoken, so paths far from that are not looked at: token u may be emitted
from EARLY frames before its frame to LATE frames after it. What remains of the lattice is a tenth, and a token
learns to come soon. Within the band the loss is exact, with its analytic gradient.
"""

import numpy
import torch

EARLY, LATE = 2, 6
NEVER = -1e30


class Lattice:
    """The nodes (frame t, tokens emitted u) of a batch within the band, as flat arrays."""

    def __init__(self, frames, marks, device="cpu"):
        """`frames[b]` encoder frames, `marks[b]` the non-decreasing frame of each token."""
        rows, states, lows, highs = [], [], [], []
        for b, (count, own) in enumerate(zip(frames, marks)):
            own = numpy.asarray(own, numpy.int64)
            low = numpy.concatenate([[0], numpy.maximum(numpy.minimum(own, count - 1) - EARLY, 0)])
            high = numpy.concatenate([numpy.minimum(own + LATE, count - 1), [count - 1]])
            rows.append(numpy.full(len(low), b))
            states.append(numpy.arange(len(low)))
            lows.append(low)
            highs.append(numpy.maximum(low, high))
        low, spans = numpy.concatenate(lows), numpy.concatenate(highs) - numpy.concatenate(lows) + 1
        firsts = numpy.repeat(numpy.cumsum(spans) - spans, spans)
        t = numpy.arange(spans.sum()) - firsts + numpy.repeat(low, spans)
        b, u = (numpy.repeat(numpy.concatenate(x), spans) for x in (rows, states))
        self.b, self.t, self.u = (torch.from_numpy(x).to(device) for x in (b, t, u))
        self.frames, self.tokens = (torch.tensor(x, device=device) for x in (frames, [len(own) for own in marks]))
        self.diagonals = max(count + len(own) for count, own in zip(frames, marks))
        self.states = 1 + max(map(len, marks))

    def skew(self, scores):
        """Scores of the nodes as [T + U, B, U + 1]: diagonals, on which t + u is the same, in rows."""
        shape = (self.diagonals, len(self.frames), self.states)
        grid = torch.full(shape, NEVER, dtype=torch.float64, device=scores.device)
        grid[self.t + self.u, self.b, self.u] = scores.double()
        return grid


class Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, blank, label, lattice):
        """Log-probabilities of blank and of the next token at each node; returns each utterance's loss."""
        stay, emit = lattice.skew(blank), lattice.skew(label)
        count, rows, width = stay.shape
        every = torch.arange(rows, device=stay.device)
        last = lattice.frames + lattice.tokens - 1
        outside = stay <= NEVER
        alpha = torch.full_like(stay, NEVER)
        alpha[0, :, 0] = 0
        for d in range(1, count):
            after_stay = alpha[d - 1] + stay[d - 1]
            after_emit = alpha[d - 1, :, :-1] + emit[d - 1, :, :-1]
            alpha[d, :, 0] = after_stay[:, 0]
            alpha[d, :, 1:] = torch.logaddexp(after_stay[:, 1:], after_emit)
            # A step onto a node outside of the band leads nowhere.
            alpha[d].masked_fill_(outside[d], NEVER)
        total = alpha[last, every, lattice.tokens] + stay[last, every, lattice.tokens]
        # Behind its last node an utterance is over, which costs nothing.
        over = stay.new_full((count + 1, rows, width), NEVER)
        over[last + 1, every, lattice.tokens] = 0
        beta = stay.new_full((count + 1, rows, width + 1), NEVER)
        beta[count, :, :-1] = over[count]
        for d in range(count - 1, -1, -1):
            ways = torch.logaddexp(stay[d] + beta[d + 1, :, :-1], emit[d] + beta[d + 1, :, 1:])
            beta[d, :, :-1] = torch.maximum(ways, over[d])
        d, b, u = lattice.t + lattice.u, lattice.b, lattice.u
        past = alpha[d, b, u] - total[b]
        ctx.stay = -torch.exp(past + blank + beta[d + 1, b, u]).float()
        ctx.emit = -torch.exp(past + label + beta[d + 1, b, u + 1]).float()
        ctx.b = b
        return -total.float()

    @staticmethod
    def backward(ctx, gradient):
        scale = gradient[ctx.b]
        return ctx.stay * scale, ctx.emit * scale, None


def transducer_loss(model, encoded, frames, tokens, marks):
    """Each utterance's loss. `tokens` is padded [B, U]."""
    lattice = Lattice(frames, marks, encoded.device)
    ahead = model.from_encoder(encoded)[lattice.b, lattice.t]
    side = model.from_predictor(model.predict(tokens))[lattice.b, lattice.u]
    scores = model.joint(torch.tanh(ahead + side)).float().log_softmax(-1)
    padded = torch.cat([tokens, torch.zeros_like(tokens[:, :1])], 1)
    label = scores.gather(1, padded[lattice.b, lattice.u][:, None])[:, 0]
    label = label.masked_fill(lattice.u == lattice.tokens[lattice.b], NEVER)
    return Loss.apply(scores[:, model.blank].contiguous(), label.contiguous(), lattice)
