// What was said, on the screen: finished utterances, and below them the one that is running.

/** Words that the model is less sure of are marked. */
const UNSURE = 0.5;

export class Transcript {
  #list;
  #running = null;

  constructor(list) {
    this.#list = list;
  }

  /** Shows a partial or a final whose times count from `start` seconds. */
  show(message, start) {
    const line = this.#running ?? this.#list.appendChild(document.createElement("li"));
    this.#running = message.is_final ? null : line;
    if (message.words.length === 0) {
      line.remove();
      this.#running = null;
      return;
    }
    line.className = message.is_final ? "final" : "partial";
    const time = document.createElement("time");
    time.textContent = clock(start + message.words[0].start);
    const text = document.createElement("p");
    text.append(...words(message, start));
    line.replaceChildren(time, text);
  }

  /** What was running and will not go on stays as it is. */
  settle() {
    this.#running = null;
  }

  clear() {
    this.#list.replaceChildren();
    this.#running = null;
  }

  get text() {
    return [...this.#list.children].map((line) => plain(line)).join("\n");
  }

  /** Marks the word that is heard at `seconds`. */
  follow(seconds) {
    for (const word of this.#list.querySelectorAll(".word")) {
      const { start, end } = word.dataset;
      word.classList.toggle("playing", Number(start) <= seconds && seconds < Number(end));
    }
  }
}

/** An element for each word; of a partial, what lies beyond the stable text is told apart. */
function* words(message, start) {
  const stable = message.is_final ? Infinity : message.stable.length;
  let at = 0;
  for (const word of message.words) {
    at = message.text.indexOf(word.word, at) + word.word.length;
    const element = document.createElement("ruby");
    const time = document.createElement("rt");
    time.textContent = (start + word.start).toFixed(1);
    element.append(word.word, time);
    element.className = "word";
    element.classList.toggle("tentative", at > stable);
    element.classList.toggle("unsure", message.is_final && word.confidence < UNSURE);
    element.title = `${(start + word.start).toFixed(2)}–${(start + word.end).toFixed(2)} · ${Math.round(word.confidence * 100)} %`;
    element.dataset.start = start + word.start;
    element.dataset.end = start + word.end;
    yield element;
    yield " ";
  }
}

function plain(line) {
  return [...line.querySelectorAll(".word")].map((word) => word.firstChild.data).join(" ");
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const rest = String(whole % 60).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
