// Audio to the service and words from it: the microphone, conversations over WebSocket, recordings over HTTP.

import { RATE } from "./capture.js";

/** Pieces that wait for a conversation to begin: 30 s. Beyond it the oldest are lost, which is told. */
const WAITING_MAX = 750;

/** Bytes that the network may be behind: 30 s. */
const BEHIND_MAX = 30 * RATE * 2;

/** Pieces whose times are remembered, for the latency: 60 s. */
const MARKS_MAX = 1_500;

/** How long the last words and Close are awaited after `stop`, in milliseconds. */
const STOP_WAIT = 20_000;

/** The keys that a subprotocol can hold: tokens of RFC 9110, section 5.6.2. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]*$/;

/** An error with a code of the service or of this page. */
export class Trouble extends Error {
  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}

/** A browser's microphone as pieces of 16-bit samples at 16 kHz. */
export class Microphone {
  #stream;
  #context;
  #node;

  /** Asks for it. `heard` gets each piece; `lost` is called when it is unplugged or taken away. */
  static async open(heard, lost) {
    if (!window.isSecureContext || !navigator.mediaDevices) throw new Trouble("insecure");
    const microphone = new Microphone();
    const wishes = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    try {
      microphone.#stream = await navigator.mediaDevices.getUserMedia({ audio: wishes });
      await microphone.#listen(heard, lost);
    } catch (error) {
      microphone.#release();
      throw new Trouble({ NotAllowedError: "not_allowed", NotFoundError: "no_microphone" }[error.name] ?? "microphone", error.message);
    }
    return microphone;
  }

  async #listen(heard, lost) {
    const context = new AudioContext({ latencyHint: "interactive" });
    this.#context = context;
    await context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
    this.#node = new AudioWorkletNode(context, "capture");
    this.#node.port.onmessage = ({ data }) => heard(data.piece, data.last);
    context.createMediaStreamSource(this.#stream).connect(this.#node);
    this.#node.connect(context.destination); // Silence: what is connected to nothing is not run everywhere.
    for (const track of this.#stream.getAudioTracks()) track.onended = lost;
    await context.resume();
  }

  /** Gives the last piece, and the microphone back. */
  async stop() {
    for (const track of this.#stream.getTracks()) track.onended = null;
    await new Promise((resolve) => {
      const { port } = this.#node;
      const heard = port.onmessage;
      port.onmessage = (event) => {
        heard(event);
        if (event.data.last) resolve();
      };
      port.postMessage("end");
      setTimeout(resolve, 500); // A context that the system suspended answers nothing.
    });
    this.#release();
  }

  #release() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
  }
}

/**
 * One conversation of protocol 1.0. Pieces pushed before it is ready wait.
 *
 * `on.ready` is called when it begins, `on.message` gets the service's partials, finals and errors, `on.end` once
 * the code of Close; `on.lost` that audio waited too long, `on.behind` that the network is too slow. Positions of
 * words count from `start`, in samples of the microphone.
 */
export class Conversation {
  start;
  #on;
  #options;
  #socket;
  #waiting = [];
  #ready = false;
  #stopping = false;
  #sent = 0;
  #marks = [];

  constructor(start, options, on) {
    this.start = start;
    this.#options = options;
    this.#on = on;
  }

  open() {
    const url = new URL("v1/ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const { key } = this.#options;
    // The browser would tell the key with what is wrong with it; `whyNot` tells it without.
    if (!TOKEN.test(key)) return this.#on.end(1006);
    const socket = new WebSocket(url, key ? ["gigastt", `gigastt.key.${key}`] : ["gigastt"]);
    socket.onmessage = ({ data }) => this.#message(JSON.parse(data));
    socket.onclose = ({ code }) => this.#on.end(code);
    this.#socket = socket;
  }

  push(piece) {
    if (!this.#ready) {
      this.#waiting.push(piece);
      if (this.#waiting.length > WAITING_MAX) {
        this.start += this.#waiting.shift().length;
        this.#on.lost();
      }
      return;
    }
    if (this.#socket.bufferedAmount > BEHIND_MAX) {
      this.#on.behind();
      return;
    }
    this.#socket.send(piece);
    this.#sent += piece.length;
    this.#marks.push({ end: this.#sent, at: performance.now() });
    if (this.#marks.length > MARKS_MAX) this.#marks.shift();
  }

  stop() {
    this.#stopping = true;
    if (this.#ready) this.#socket.send(JSON.stringify({ type: "stop" }));
    setTimeout(() => this.abandon(), STOP_WAIT);
  }

  /** Ends without the last words. */
  abandon() {
    if (this.#socket) this.#socket.close();
    else this.#on.end(1006);
  }

  /** Milliseconds since the sample at `seconds` was sent; none for what is forgotten. */
  since(seconds) {
    const sample = Math.round(seconds * RATE);
    const mark = this.#marks.find(({ end }) => end >= sample);
    return mark && performance.now() - mark.at;
  }

  #message(message) {
    if (message.type !== "ready") {
      this.#on.message(message, this);
      return;
    }
    const { endpoint, mode } = this.#options;
    this.#socket.send(JSON.stringify({ type: "configure", sample_rate: RATE, endpoint, mode }));
    this.#ready = true;
    this.#on.ready();
    for (const piece of this.#waiting.splice(0)) this.push(piece);
    if (this.#stopping) this.stop();
  }
}

/** The objects that the service tells of a recording, while it arrives there. */
export async function* transcribe(file, key, signal) {
  const response = await post("v1/transcribe/stream", file, key, signal);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) yield JSON.parse(event.slice(6));
    }
  }
}

/** Why no conversation began: a browser does not tell, so an empty recording is sent to be refused. */
export async function whyNot(key) {
  try {
    await post("v1/transcribe", "", key);
  } catch (trouble) {
    if (trouble.code !== "empty_body") return trouble;
  }
  return new Trouble("no_websocket");
}

/** What runs there, and how busy it is; or how many milliseconds it wants to be left alone. */
export async function service(key) {
  const headers = authorization(key);
  const response = await fetch(new URL("v1/models", document.baseURI), { headers });
  if (response.status === 429) return { wait: Number(response.headers.get("retry-after")) * 1_000 };
  return response.ok ? response.json() : {};
}

async function post(path, body, key, signal) {
  const options = { method: "POST", body, signal, headers: authorization(key) };
  const response = await fetch(new URL(path, document.baseURI), options).catch((error) => {
    throw error.name === "AbortError" ? error : new Trouble("unreachable", error.message);
  });
  if (response.ok) return response;
  const { code, error } = await response.json().catch(() => ({ code: "internal", error: response.statusText }));
  throw new Trouble(code, error);
}

function authorization(key) {
  if (!TOKEN.test(key)) throw new Trouble("bad_key");
  return key ? { authorization: `Bearer ${key}` } : {};
}
