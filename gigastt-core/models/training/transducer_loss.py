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

    def __init__(self, frames, marks):
        """`frames[b]` encoder frames, `marks[b]` the non-decreasing frame of each token."""
        rows, ts, us = [], [], []
        for b, (count, own) in enumerate(zip(frames, marks)):
            for u in range(len(own) + 1):
                low = max(0, min(own[u - 1], count - 1) - EARLY) if u else 0
                high = min(count - 1, own[u] + LATE) if u < len(own) else count - 1
                span = numpy.arange(low, max(low, high) + 1)
                rows.append(numpy.full(len(span), b))
                ts.append(span)
                us.append(numpy.full(len(span), u))
        self.b, self.t, self.u = (torch.from_numpy(numpy.concatenate(x)) for x in (rows, ts, us))
        self.frames = numpy.asarray(frames)
        self.tokens = numpy.asarray([len(own) for own in marks])


def skew(lattice, scores):
    """Scores of the nodes as [T + U, B, U + 1]: diagonals, on which t + u is the same, in rows."""
    diagonals = int((lattice.frames + lattice.tokens).max())
    grid = numpy.full((diagonals, len(lattice.frames), int(lattice.tokens.max()) + 1), NEVER, numpy.float64)
    grid[(lattice.t + lattice.u).numpy(), lattice.b.numpy(), lattice.u.numpy()] = scores
    return grid


class Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, blank, label, lattice):
        """Log-probabilities of blank and of the next token at each node; returns each utterance's loss."""
        stay, emit = skew(lattice, blank.numpy()), skew(lattice, label.numpy())
        count, rows, width = stay.shape
        every = numpy.arange(rows)
        last = lattice.frames + lattice.tokens - 1
        alpha = numpy.full((count, rows, width), NEVER)
        alpha[0, :, 0] = 0
        for d in range(1, count):
            after_stay = alpha[d - 1] + stay[d - 1]
            after_emit = alpha[d - 1, :, :-1] + emit[d - 1, :, :-1]
            alpha[d] = after_stay
            alpha[d, :, 1:] = numpy.logaddexp(after_stay[:, 1:], after_emit)
            # A step onto a node outside of the band leads nowhere.
            alpha[d][stay[d] <= NEVER] = NEVER
        total = alpha[last, every, lattice.tokens] + stay[last, every, lattice.tokens]
        beta = numpy.full((count + 1, rows, width + 1), NEVER)
        for d in range(count - 1, -1, -1):
            after_stay = stay[d] + beta[d + 1, :, :-1]
            here = numpy.where(d == last)[0]
            after_stay[here, lattice.tokens[here]] = stay[d, here, lattice.tokens[here]]
            beta[d, :, :-1] = numpy.logaddexp(after_stay, emit[d] + beta[d + 1, :, 1:])
        d, b, u = (lattice.t + lattice.u).numpy(), lattice.b.numpy(), lattice.u.numpy()
        next_stay = beta[d + 1, b, u]
        final = (d == last[b]) & (u == lattice.tokens[b])
        next_stay[final] = 0
        past = alpha[d, b, u] - total[b]
        ctx.stay = torch.from_numpy(-numpy.exp(past + blank.numpy() + next_stay)).float()
        ctx.emit = torch.from_numpy(-numpy.exp(past + label.numpy() + beta[d + 1, b, u + 1])).float()
        ctx.b = lattice.b
        return torch.from_numpy(-total).float()

    @staticmethod
    def backward(ctx, gradient):
        scale = gradient[ctx.b]
        return ctx.stay * scale, ctx.emit * scale, None


def transducer_loss(model, encoded, frames, tokens, marks):
    """Each utterance's loss. `tokens` is padded [B, U]."""
    lattice = Lattice(frames, marks)
    ahead = model.from_encoder(encoded)[lattice.b, lattice.t]
    side = model.from_predictor(model.predict(tokens))[lattice.b, lattice.u]
    scores = model.joint(torch.tanh(ahead + side)).float().log_softmax(-1)
    padded = torch.cat([tokens, torch.zeros_like(tokens[:, :1])], 1)
    label = scores.gather(1, padded[lattice.b, lattice.u][:, None])[:, 0]
    counts = torch.from_numpy(lattice.tokens)
    label = label.masked_fill(lattice.u == counts[lattice.b], NEVER)
    return Loss.apply(scores[:, model.blank].contiguous(), label.contiguous(), lattice)
