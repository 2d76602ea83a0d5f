"""The transducer loss and its gradient against a plain recursion with PyTorch's own gradient. Run by test_training.py
with the Python that has PyTorch: `check_loss.py FOLDER_OF_THE_TRAINING_CODE`."""

import sys

sys.path.insert(0, sys.argv[1])

import torch
import transducer_loss
from transducer_loss import Lattice, Loss


def plain(stay, emit):
    """The loss of one utterance, of scores [T, U + 1] of blank and of the next token."""
    frames, states = stay.shape
    alpha = {(0, 0): torch.zeros((), dtype=torch.float64)}
    for t in range(frames):
        for u in range(states):
            ways = []
            if t:
                ways.append(alpha[t - 1, u] + stay[t - 1, u])
            if u:
                ways.append(alpha[t, u - 1] + emit[t, u - 1])
            if ways:
                alpha[t, u] = torch.logsumexp(torch.stack(ways), 0)
    return -(alpha[frames - 1, states - 1] + stay[frames - 1, states - 1])


def check(frames, tokens):
    lattice = Lattice(frames, [[0] * count for count in tokens])
    scores = torch.randn(len(lattice.b), 2, dtype=torch.float64).log_softmax(-1)
    stay, emit = (scores[:, n].clone().requires_grad_() for n in (0, 1))
    at_end = lattice.u == torch.tensor(tokens)[lattice.b]
    found = Loss.apply(stay, emit.masked_fill(at_end, transducer_loss.NEVER), lattice)
    found.sum().backward()
    for b, (count, size) in enumerate(zip(frames, tokens)):
        own = lattice.b == b
        assert int(own.sum()) == count * (size + 1), "the band holds every node"
        grid = [torch.zeros(count, size + 1, dtype=torch.float64) for _ in range(2)]
        for part, values in zip(grid, (stay, emit)):
            part[lattice.t[own], lattice.u[own]] = values[own].detach()
            part.requires_grad_()
        expected = plain(*grid)
        expected.backward()
        assert abs(float(found[b] - expected)) < 1e-4, (frames, tokens, b)
        for part, values in zip(grid, (stay, emit)):
            # A score that nothing depends on has no gradient: that of a token after the last one.
            theirs = torch.zeros_like(part) if part.grad is None else part.grad
            deviation = (values.grad[own] - theirs[lattice.t[own], lattice.u[own]]).abs().max()
            assert float(deviation) < 1e-5, (frames, tokens, b)


torch.manual_seed(1)
transducer_loss.EARLY, transducer_loss.LATE = 0, 1_000
for frames, tokens in (([4], [2]), ([1], [0]), ([1], [3]), ([7, 3, 9], [2, 5, 1])):
    check(frames, tokens)
print("equal")
