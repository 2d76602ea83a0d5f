// The audio thread's part: from what the microphone gives, at any rate, to pieces of 16-bit samples at 16 kHz.

export const RATE = 16_000;

/** Samples of a piece: 40 ms. */
export const PIECE = 640;

/** Zero crossings of the filter on each side, and points of its table between two of them. */
const CROSSINGS = 24;
const POINTS = 256;

/** How much of the band below the lower rate's half is kept. */
const PASS = 0.94;

/** The shape of the Kaiser window: what must not be there is 80 dB down. */
const BETA = 8;

/** Samples at any rate to samples at 16 kHz, through a windowed sinc, piece by piece as in one go. */
export class Resampler {
  #rate;
  #scale; // Zero crossings for one input sample.
  #reach; // Input samples that the filter reaches to each side.
  #table;
  #input; // What is still needed, and zeros before the beginning.
  #before; // Where it begins, in input samples.
  #made = 0; // Output samples.

  constructor(rate) {
    this.#rate = rate;
    this.#scale = Math.min(1, RATE / rate) * PASS;
    this.#reach = Math.ceil(CROSSINGS / this.#scale);
    this.#table = kernel();
    this.#input = new Float32Array(this.#reach);
    this.#before = -this.#reach;
  }

  /** The output for which all of the input is there. */
  push(samples) {
    const input = new Float32Array(this.#input.length + samples.length);
    input.set(this.#input);
    input.set(samples, this.#input.length);
    const output = [];
    let at = this.#at();
    for (; Math.floor(at) + this.#reach < input.length; at = this.#at()) {
      output.push(this.#sample(input, at));
      this.#made += 1;
    }
    const done = Math.min(input.length, Math.max(0, Math.floor(at) - this.#reach));
    this.#input = input.slice(done);
    this.#before += done;
    return output;
  }

  /** The output that waited for input which does not come. */
  end() {
    return this.push(new Float32Array(this.#reach));
  }

  /** Where the next output sample stands in the input. From the count, so that no error adds up. */
  #at() {
    return (this.#made * this.#rate) / RATE - this.#before;
  }

  #sample(input, at) {
    const [scale, table] = [this.#scale, this.#table];
    const first = Math.max(0, Math.ceil(at - this.#reach));
    const last = Math.floor(at + this.#reach);
    let sum = 0;
    for (let k = first; k <= last; k += 1) {
      const point = Math.abs(at - k) * scale * POINTS;
      const below = Math.floor(point);
      if (below < table.length - 1) {
        sum += input[k] * (table[below] + (point - below) * (table[below + 1] - table[below]));
      }
    }
    return sum * scale;
  }
}

/** The right half of the windowed sinc. */
function kernel() {
  return Float64Array.from({ length: CROSSINGS * POINTS + 2 }, (_, index) => {
    const x = index / POINTS;
    if (x >= CROSSINGS) return 0;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    return (sinc * bessel(BETA * Math.sqrt(1 - (x / CROSSINGS) ** 2))) / bessel(BETA);
  });
}

/** The modified Bessel function of the first kind, order 0. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

export function pcm16(samples) {
  return Int16Array.from(samples, (x) => Math.max(-32_768, Math.min(32_767, Math.round(x * 32_767))));
}

// The same file is a module of the audio thread and, for tests, of a page.
if (globalThis.AudioWorkletProcessor) {
  class Capture extends AudioWorkletProcessor {
    #resampler = new Resampler(sampleRate);
    #waiting = [];
    #ended = false;

    constructor() {
      super();
      this.port.onmessage = () => {
        this.#take(this.#resampler.end());
        this.port.postMessage({ piece: pcm16(this.#waiting), last: true });
        this.#ended = true;
      };
    }

    process([channels]) {
      if (this.#ended) return false;
      if (channels.length > 0) this.#take(this.#resampler.push(mean(channels)));
      return true;
    }

    #take(samples) {
      for (const sample of samples) this.#waiting.push(sample);
      while (this.#waiting.length >= PIECE) {
        const piece = pcm16(this.#waiting.splice(0, PIECE));
        this.port.postMessage({ piece, last: false }, [piece.buffer]);
      }
    }
  }

  registerProcessor("capture", Capture);
}

function mean(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
}
