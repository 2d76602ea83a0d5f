"""A conformer RNN transducer with the tensors of GigaAM v3 `e2e_rnnt`, small enough to be embedded."""

import math

import torch
from torch import nn
from torch.nn import functional as F

STATE = 320  # The predictor's width in every model of the family.
MASKED = -1e4


class Size:
    """What a model is made of."""

    def __init__(self, width=160, layers=4, heads=4, kernel=9, embedding=128, joint=256):
        self.width, self.layers, self.heads, self.kernel = width, layers, heads, kernel
        self.embedding, self.joint = embedding, joint


def frames_after(length):
    """Frames of the encoder for so many frames of features."""
    once = (length - 1) // 2 + 1
    return (once - 1) // 2 + 1


def rotary(count, half, device):
    """Cosine and sine [count, half] for positions from 0."""
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(5000.0) / half))
    angles = torch.arange(count, device=device)[:, None] * rates[None]
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Feed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.down(F.silu(self.up(self.norm(x))))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x, bias, cos, sin):
        batch, count, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias
        mixed = torch.softmax(scores, -1) @ v
        return self.out(mixed.transpose(1, 2).reshape(batch, count, width))


class Convolution(nn.Module):
    def __init__(self, width, kernel):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depth = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.inner = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, x, valid):
        x = F.glu(self.gate(self.norm(x)), -1) * valid
        x = self.depth(x.transpose(1, 2)).transpose(1, 2)
        return self.out(F.silu(self.inner(x)))


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.first, self.second = Feed(size.width), Feed(size.width)
        self.attention = Attention(size.width, size.heads)
        self.convolution = Convolution(size.width, size.kernel)
        self.norm = nn.LayerNorm(size.width)

    def forward(self, x, valid, bias, cos, sin):
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x, bias, cos, sin)
        x = x + self.convolution(x, valid)
        return self.norm(x + 0.5 * self.second(x))


class Encoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.head = size.width // size.heads
        self.one = nn.Conv1d(64, size.width, 5, stride=2, padding=2)
        self.two = nn.Conv1d(size.width, size.width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))

    def forward(self, features, lengths):
        """Features [B, 64, T] and their lengths to [B, T', width] and lengths."""
        def mask(count, lengths):
            return (torch.arange(count, device=features.device)[None] < lengths[:, None]).to(features.dtype)

        # Log-mel lies about -20 to 5; the network hears it near zero, and nothing where there is nothing.
        x = (features * 0.2 + 1.6) * mask(features.shape[2], lengths)[:, None]
        lengths = (lengths - 1) // 2 + 1
        x = F.silu(self.one(x))
        x = x * mask(x.shape[2], lengths)[:, None]
        lengths = (lengths - 1) // 2 + 1
        x = F.silu(self.two(x)).transpose(1, 2)
        valid = mask(x.shape[1], lengths)
        bias = ((1 - valid) * MASKED)[:, None, None]
        cos, sin = rotary(x.shape[1], self.head // 2, x.device)
        for block in self.blocks:
            x = block(x, valid[..., None], bias, cos, sin)
        return x, lengths


class Transducer(nn.Module):
    """Encoder, predictor and joint, and a head for CTC that only training uses."""

    def __init__(self, size, classes):
        super().__init__()
        self.blank = classes - 1
        self.encoder = Encoder(size)
        self.embedding = nn.Embedding(classes, size.embedding)
        self.predictor = nn.LSTM(size.embedding, STATE, batch_first=True)
        self.from_encoder = nn.Linear(size.width, size.joint)
        self.from_predictor = nn.Linear(STATE, size.joint, bias=False)
        self.joint = nn.Linear(size.joint, classes)
        self.ctc = nn.Linear(size.width, classes)

    def predict(self, tokens):
        """Predictor outputs [B, U + 1, 320] before each token and after the last."""
        start = torch.full_like(tokens[:, :1], self.blank)
        return self.predictor(self.embedding(torch.cat([start, tokens], 1)))[0]

    @torch.no_grad()
    def greedy(self, encoded, most=3):
        """Tokens of one encoded utterance [T', width]."""
        projected = self.from_encoder(encoded)
        state, token, found = None, torch.tensor([[self.blank]]), []
        out, state = self.predictor(self.embedding(token), state)
        side = self.from_predictor(out[0, 0])
        for frame in projected:
            for _ in range(most):
                best = int(self.joint(torch.tanh(frame + side)).argmax())
                if best == self.blank:
                    break
                found.append(best)
                out, state = self.predictor(self.embedding(torch.tensor([[best]])), state)
                side = self.from_predictor(out[0, 0])
        return found
