// The page: what is pressed, what is shown, and what happens in between.

import { RATE } from "./capture.js";
import { Conversation, Microphone, Trouble, service, transcribe, whyNot } from "./speech.js";
import { language, say } from "./strings.js";
import { Transcript } from "./transcript.js";

/** Ends of a conversation after which the next one may go better: going away, lost, restarting, busy. */
const AGAIN = [1001, 1006, 1012, 1013];

/** Troubles that a new attempt does not mend. */
const HOPELESS = ["origin_denied", "unauthorized", "bad_key", "no_websocket"];

/** Waits before the attempts, in milliseconds; after the last one it is given up. */
const WAITS = [250, 500, 1_000, 2_000, 4_000, 8_000];

/** Latencies of which the middle one is shown, and the one that fills the meter, in seconds. */
const LATENCIES = 15;
const LATENCY_MAX = 2;

/** How often the service is asked how busy it is, in milliseconds: who listens wants to know, and who does not keeps
 * his requests for what he does next. */
const ASK_EVERY = 2_000;
const ASK_SELDOM = 20_000;

const at = (id) => document.getElementById(id);
const transcript = new Transcript(at("said"));

/** What is going on: a `Listening`, a `Reading`, or nothing. */
let activity = null;

/** The microphone, over as many conversations as it takes. */
class Listening {
  #microphone = null;
  #conversation = null;
  #samples = 0;
  #attempts = 0;
  #stopping = false;
  #trouble = null;
  #latencies = [];
  #covered = 0;

  async begin() {
    this.#microphone = await Microphone.open(
      (piece) => this.#heard(piece),
      () => this.stop(say.lost_microphone),
    );
    this.#converse();
    this.#conversation.open();
    document.body.classList.add("listening");
    this.awake = await navigator.wakeLock?.request("screen").catch(() => null);
  }

  /** Has the last words written down; the second time, does without them. */
  async stop(why) {
    if (this.#stopping) return this.#conversation.abandon();
    this.#stopping = true;
    document.body.classList.add("ending");
    if (why) tell(why, true);
    await this.#silence();
    this.#conversation.stop();
  }

  /** A new conversation, which is not opened yet: what is said meanwhile waits. */
  #converse() {
    const options = { key: key(), endpoint: at("endpoint").value, mode: at("mode").value };
    this.#trouble = null;
    this.#covered = 0;
    this.#conversation = new Conversation(this.#samples, options, {
      ready: () => this.#began(),
      message: (message, conversation) => this.#message(message, conversation),
      end: (code) => this.#ended(code),
      lost: () => tell(say.lost, true),
      behind: () => this.stop(say.behind),
    });
  }

  #heard(piece) {
    this.#samples += piece.length;
    level(loudness(piece));
    this.#conversation?.push(piece);
  }

  #began() {
    if (this.#attempts > 0) tell("");
    this.#attempts = 0;
    ask();
  }

  #message(message, conversation) {
    if (message.type === "error") {
      this.#trouble = new Trouble(message.code, message.message);
      return;
    }
    this.#measure(message, conversation);
    show(message, conversation.start / RATE);
  }

  /** From the end of a word to its appearance. */
  #measure(message, conversation) {
    const end = message.words.at(-1)?.end ?? 0;
    if (message.is_final || end <= this.#covered) return;
    this.#covered = end;
    const latency = conversation.since(end);
    if (latency === undefined) return;
    this.#latencies = [...this.#latencies, latency / 1_000].slice(-LATENCIES);
    const middle = this.#latencies.toSorted((a, b) => a - b)[this.#latencies.length >> 1];
    meter("latency", middle / LATENCY_MAX, `${decimal(middle)} ${say.seconds}`);
  }

  async #ended(code) {
    transcript.settle();
    if (this.#stopping) return done(this, code === 1000 ? null : (this.#trouble ?? new Trouble("ended")));
    const told = this.#trouble;
    this.#converse();
    const trouble = code === 1006 ? await whyNot(key()) : told;
    const capped = trouble?.code === "max_session_duration_exceeded";
    const wait = capped || AGAIN.includes(code) ? WAITS[this.#attempts] : undefined;
    if (this.#stopping || wait === undefined || HOPELESS.includes(trouble?.code)) {
      await this.#silence();
      return done(this, trouble ?? new Trouble("ended"));
    }
    this.#attempts += 1;
    if (!capped) tell(say.reconnecting);
    setTimeout(() => this.#conversation.open(), wait);
  }

  async #silence() {
    this.awake?.release();
    await this.#microphone.stop();
    level(0);
  }
}

/** A recording, which is transcribed while it is sent. */
class Reading {
  #file;
  #leaving = new AbortController();

  constructor(file) {
    this.#file = file;
  }

  async begin() {
    play(this.#file);
    tell(this.#file.name);
    for await (const message of transcribe(this.#file, key(), this.#leaving.signal)) {
      if (message.type === "error") throw new Trouble(message.code, message.message);
      show(message, 0);
      if (message.endpoint_reason === "shutdown") throw new Trouble("shutting_down");
    }
    transcript.settle();
    done(this, null);
  }

  stop() {
    this.#leaving.abort();
  }
}

async function begin(next) {
  if (activity) return;
  activity = next;
  transcript.clear();
  tell("");
  document.body.classList.add("busy");
  nameRecord();
  try {
    await next.begin();
  } catch (trouble) {
    done(next, trouble.name === "AbortError" ? null : trouble);
  }
}

function done(ended, trouble) {
  if (activity !== ended) return;
  activity = null;
  document.body.classList.remove("busy", "listening", "ending");
  nameRecord();
  if (trouble) tell(say[trouble.code] ?? trouble.message, true);
  else if (!at("notice").classList.contains("alarm")) tell(transcript.text ? "" : say.nothing);
  if (["unauthorized", "bad_key"].includes(trouble?.code)) {
    at("settings").open = true;
    at("key").focus();
  }
}

/** Shows what was said, and the end of it to who was looking at the end. */
function show(message, start) {
  const page = document.documentElement;
  const below = page.scrollHeight - page.scrollTop - page.clientHeight;
  transcript.show(message, start);
  if (below < 80) page.scrollTop = page.scrollHeight;
}

/** Lets a recording be heard, with its words, where the browser can play it. */
function play(file) {
  const player = at("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = file ? URL.createObjectURL(file) : "";
  player.hidden = true;
  document.body.classList.remove("playable");
}

function tell(text, alarm = false) {
  at("notice").textContent = text;
  at("notice").classList.toggle("alarm", alarm);
}

function level(value) {
  at("record").style.setProperty("--level", value.toFixed(3));
}

/** How loud a piece is, from 0 to 1. */
function loudness(piece) {
  const power = piece.reduce((sum, x) => sum + (x / 32_768) ** 2, 0) / Math.max(1, piece.length);
  return Math.min(1, 4 * Math.sqrt(power));
}

function meter(id, value, text) {
  const element = at(id);
  element.style.setProperty("--value", Math.min(1, value).toFixed(3));
  element.classList.toggle("high", value > 0.85);
  element.setAttribute("aria-valuenow", (value * Number(element.getAttribute("aria-valuemax"))).toFixed(2));
  element.setAttribute("aria-valuetext", text);
  element.querySelector("output").textContent = text;
}

/** When the service may be asked again, and the timer that asks it. */
let askFrom = 0;
let asking;

async function ask() {
  clearTimeout(asking);
  if (!document.hidden && performance.now() >= askFrom) {
    const { id, data, load, pool_available: room, wait } = await service(key()).catch(() => ({}));
    if (id ?? data) at("model").textContent = id ?? say.loading;
    if (load !== undefined) meter("load", load, `${Math.round(load * 100)} % · ${say.room(room)}`);
    if (wait) askFrom = performance.now() + wait;
  }
  clearTimeout(asking); // Or two that began side by side go on for ever.
  asking = setTimeout(ask, activity instanceof Listening ? ASK_EVERY : ASK_SELDOM);
}

/** Puts the text where it can be pasted; whether that went well. */
async function copy(text) {
  if (navigator.clipboard) {
    const copied = navigator.clipboard.writeText(text);
    return copied.then(() => true).catch(() => false);
  }
  // Pages that are not secure have none.
  const give = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", give);
  const copied = document.execCommand("copy");
  document.removeEventListener("copy", give);
  return copied;
}

function decimal(value) {
  return value.toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function key() {
  return at("key").value.trim();
}

function nameRecord() {
  at("record-name").textContent = activity ? say.stop : say.record;
  at("record").setAttribute("aria-pressed", String(activity !== null));
}

function read(file) {
  if (file) begin(new Reading(file));
}

document.documentElement.lang = language;
for (const element of document.querySelectorAll("[data-say]")) element.textContent = say[element.dataset.say];
if (matchMedia("(pointer: coarse)").matches) at("hint").textContent = say.hint_touch;
at("key").value = sessionStorage.getItem("key") ?? "";
if (!window.isSecureContext) tell(say.insecure);

at("record").onclick = () => {
  if (activity) return activity.stop();
  play(null);
  begin(new Listening());
};
at("choose").onclick = () => at("file").click();
at("file").onchange = ({ target }) => {
  read(target.files[0]);
  target.value = "";
};
at("key").onchange = () => sessionStorage.setItem("key", key());
at("times").onclick = ({ currentTarget: button }) => {
  button.setAttribute("aria-pressed", String(document.body.classList.toggle("times")));
};
at("copy").onclick = async ({ currentTarget: button }) => {
  button.querySelector("span").textContent = (await copy(transcript.text)) ? say.copied : say.not_copied;
  setTimeout(() => (button.querySelector("span").textContent = say.copy), 1_500);
};

const player = at("player");
player.onloadedmetadata = () => {
  player.hidden = false;
  document.body.classList.add("playable");
};
player.ontimeupdate = () => transcript.follow(player.currentTime);
at("said").onclick = ({ target }) => {
  const word = target.closest(".word");
  if (!word || player.hidden) return;
  player.currentTime = Number(word.dataset.start);
  player.play();
};

document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("over");
};
document.ondragleave = ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("over");
};
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  read(event.dataTransfer.files[0]);
};
document.addEventListener("click", ({ target }) => {
  if (!at("settings").contains(target)) at("settings").open = false;
});

ask();
