"""From samples to what the network hears: augmentation, and the log-mel features of GigaAM v3."""

import numpy

RATE = 16_000
WINDOW, HOP, MELS = 320, 160, 64
FRAME = 640  # Samples between two frames of the encoder.


def bfloat16(values):
    """Rounds to the nearest bfloat16, as the tables of the published checkpoint are stored."""
    bits = values.astype(numpy.float32).view(numpy.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(numpy.uint32).view(numpy.float32)


def filters():
    """Triangles on the HTK scale, 161 x 64."""
    top = 2595 * numpy.log10(1 + 8000 / 700)
    points = 700 * (10 ** (numpy.linspace(0, top, MELS + 2) / 2595) - 1)
    hertz = numpy.linspace(0, 8000, WINDOW // 2 + 1)
    slopes = points[None, :] - hertz[:, None]
    width = numpy.diff(points)
    return numpy.maximum(0, numpy.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]))


HANN = bfloat16(0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(WINDOW) / WINDOW))
FILTERS = bfloat16(filters())


def log_mel(samples):
    """Features [64, T] of samples in [-1, 1)."""
    count = (len(samples) - WINDOW) // HOP + 1
    frames = numpy.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:count]
    spectrum = numpy.fft.rfft(frames * HANN)
    power = (spectrum.real**2 + spectrum.imag**2).astype(numpy.float32)
    return numpy.log(numpy.clip(power @ FILTERS, 1e-9, 1e9)).T.astype(numpy.float32)


def speed(samples, factor):
    """Faster and higher by a factor: linear interpolation."""
    return numpy.interp(numpy.arange(0, len(samples) - 1, factor), numpy.arange(len(samples)), samples).astype(numpy.float32)


def surround(samples, r, before, after):
    return numpy.concatenate([numpy.zeros(before, numpy.float32), samples, numpy.zeros(after, numpy.float32)])


def room(r, length):
    """An impulse response: the direct sound and a tail of decaying noise."""
    seconds = r.uniform(0.1, 0.6)
    tail = r.standard_normal(length) * numpy.exp(-numpy.arange(length) * 6.9 / (seconds * RATE))
    tail[: int(0.003 * RATE)] = 0
    tail *= r.uniform(0.1, 0.6) / numpy.sqrt((tail**2).sum())
    tail[0] = 1
    return tail


def curve(r, bins):
    """A smooth random equaliser, and sometimes the band of a telephone."""
    points = r.uniform(-8, 8, 7)
    decibels = numpy.interp(numpy.linspace(0, 6, bins), numpy.arange(7), points)
    gain = 10 ** (decibels / 20)
    if r.random() < 0.25:
        hertz = numpy.linspace(0, RATE / 2, bins)
        low, high = r.uniform(80, 350), r.uniform(3200, 6500)
        gain = gain / (1 + (low / numpy.maximum(hertz, 1)) ** 6) / (1 + (hertz / high) ** 12)
    return gain


def fast(length):
    """A length not below this whose transform is quick."""
    top = 1 << length.bit_length()
    return next(n for n in (top * 5 // 8, top * 3 // 4, top) if n >= length)


def noise(r, length):
    """White to brown noise with a slow swell, of power one."""
    padded = fast(length)
    spectrum = numpy.fft.rfft(r.standard_normal(padded))
    spectrum *= numpy.maximum(numpy.arange(len(spectrum)), 20) ** -r.uniform(0, 1.0)
    sound = numpy.fft.irfft(spectrum, padded)[:length]
    swell = numpy.interp(numpy.arange(length), numpy.linspace(0, length, 8), r.uniform(0.4, 1.6, 8))
    sound *= swell
    return sound / numpy.sqrt((sound**2).mean())


def augment(samples, r, strength):
    """A recording as a microphone in a room might make it. `strength` from 0 to 1 is the share of altered ones."""
    if r.random() < strength:
        length = fast(len(samples) + 4096)
        spectrum = numpy.fft.rfft(samples, length) * curve(r, length // 2 + 1)
        if r.random() < 0.5:
            spectrum *= numpy.fft.rfft(room(r, 4096), length)
        samples = numpy.fft.irfft(spectrum, length)[: len(samples)].astype(numpy.float32)
        if r.random() < 0.7:
            power = (samples**2).mean()
            ratio = 10 ** (r.uniform(5 + 10 * (1 - strength), 35) / 10)
            samples = samples + numpy.sqrt(power / ratio) * noise(r, len(samples))
    else:
        samples = samples + numpy.float32(10 ** r.uniform(-5, -3)) * r.standard_normal(len(samples), dtype=numpy.float32)
    peak = 10 ** (r.uniform(-24, -0.5) / 20)
    samples = samples * (peak / max(float(numpy.abs(samples).max()), 1e-4))
    return (numpy.round(samples * 32767) / 32768).astype(numpy.float32)
