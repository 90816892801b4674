// The messages of one conversation as a list that stays quick when it is long.
//
// 1. Rows are in chunks, and a chunk out of sight is not laid out (content-visibility).
// 2. What arrives is drawn once a frame; for a conversation that is not shown, when it is.
// 3. The scroller is turned round (column-reverse), so it stays at its end by itself, and older rows
//    put in at the top move nothing.

import { appendText, avatar, count, day, dayOf, element, hue, timeElement } from "./text.js";

const CHUNK_ROWS = 50;
const TOGETHER = 5 * 60_000;
const AT_END = 40;
const HAS_ANCHORS = CSS.supports("overflow-anchor", "auto");

export class Timeline {
  #queue = [];
  #frame = 0;
  #last = null;
  #anew = true;

  // `needOlder` is called when the top comes near; `scrolled` is told whether the end
  // is out of sight; the others are what the buttons of an unsent message do.
  constructor(conversation, { needOlder, scrolled, retry, edit, discard }) {
    this.conversation = conversation;
    this.needOlder = needOlder;
    this.retry = retry;
    this.edit = edit;
    this.discard = discard;
    this.below = 0; // rows that came while the end was out of sight
    this.element = element("div", "timeline");
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "log");
    this.element.setAttribute("aria-live", "off"); // the announcer speaks
    this.element.setAttribute("aria-label", `Messages ${conversation.isRoom ? "in #" : "with "}${conversation.name}`);
    this.inner = element("div", "inner");
    this.top = element("p", "top");
    this.chunks = element("div", "chunks");
    this.pending = element("div", "pending");
    this.inner.append(this.top, this.chunks, this.pending);
    this.element.append(this.inner);
    this.element.addEventListener("scroll", () => {
      if (this.atEnd) this.below = 0;
      scrolled(!this.atEnd);
    }, { passive: true });
    this.watcher = new IntersectionObserver((seen) => {
      if (seen.at(-1).isIntersecting && this.shown) this.needOlder();
    }, { root: this.element, rootMargin: "800px 0px 0px 0px" });
    this.watcher.observe(this.top);
  }

  get shown() {
    return !this.element.hidden;
  }

  get atEnd() {
    return Math.abs(this.element.scrollTop) < AT_END;
  }

  toEnd() {
    this.element.scrollTop = 0;
    this.below = 0;
  }

  show(shown) {
    this.element.hidden = !shown;
    if (shown) this.#draw();
    else this.#withoutNew();
  }

  append(entry) {
    this.#queue.push(entry);
    if (this.shown) this.#schedule();
  }

  // Draw everything again, at the next frame.
  anew() {
    this.#anew = true;
    if (this.shown) this.#schedule();
  }

  before(entries) {
    if (this.#anew) return;
    const next = this.chunks.firstElementChild;
    const made = [];
    let previous = null;
    for (const entry of entries) {
      if (!made.length || made.at(-1).childElementCount >= CHUNK_ROWS) made.push(element("div", "chunk"));
      made.at(-1).append(this.#row(entry, previous));
      previous = entry;
    }
    this.chunks.prepend(...made);
    this.#last ??= previous;
    // The row that was the first may go together with the one now above it.
    const first = this.conversation.entries[entries.length];
    next?.firstElementChild?.replaceWith(this.#row(first, previous));
  }

  trimmed(rows) {
    if (this.#anew) return;
    let left = rows;
    while (left > 0 && this.chunks.firstElementChild) {
      const chunk = this.chunks.firstElementChild;
      if (chunk.childElementCount <= left) {
        left -= chunk.childElementCount;
        chunk.remove();
      } else {
        while (left > 0) {
          chunk.firstElementChild.remove();
          left -= 1;
        }
      }
    }
    this.#queue.splice(0, left); // of those not drawn yet
  }

  drawPending() {
    this.pending.replaceChildren(...this.conversation.pending.map((message) => this.#unsent(message)));
  }

  drawTop() {
    const { older, loading, isRoom, bare } = this.conversation;
    if (!isRoom) this.top.textContent = "Private messages are not stored: only the two of you have them.";
    else if (older || loading || bare) this.top.textContent = "Fetching what was said before…";
    else this.top.textContent = `This is where #${this.conversation.name} begins, as far as it is kept.`;
    this.watcher.unobserve(this.top); // or it would be silent where the top is still in sight
    this.watcher.observe(this.top);
  }

  remove() {
    cancelAnimationFrame(this.#frame);
    this.watcher.disconnect();
    this.element.remove();
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.shown) this.#draw();
    });
  }

  #draw() {
    const stay = this.atEnd;
    if (this.#anew) {
      this.#anew = false;
      this.#queue = [...this.conversation.entries];
      this.chunks.replaceChildren();
      this.#last = null;
    } else if (!this.#queue.length) {
      return;
    }
    const height = stay || HAS_ANCHORS ? 0 : this.element.scrollHeight;
    const queue = this.#queue;
    this.#queue = [];
    let chunk = this.chunks.lastElementChild;
    for (const entry of queue) {
      if (!chunk || chunk.childElementCount >= CHUNK_ROWS) {
        chunk = element("div", "chunk");
        this.chunks.append(chunk);
      }
      chunk.append(this.#row(entry, this.#last));
      this.#last = entry;
    }
    if (stay) this.element.scrollTop = 0;
    else this.below += queue.length;
    if (height) this.element.scrollTop -= this.element.scrollHeight - height;
    this.drawTop();
  }

  #withoutNew() {
    this.chunks.querySelector(".new")?.remove();
  }

  // One element for each entry, whatever it shows.
  #row(entry, previous) {
    const row = element("div", `row ${entry.type}`);
    if (!previous || dayOf(previous.at) !== dayOf(entry.at)) row.append(divider("day", day(entry.at)));
    if (this.conversation.firstNew === entry) row.append(divider("new", "New"));
    ROWS[entry.type]?.(row, entry, together(previous, entry));
    return row;
  }

  #unsent(message) {
    const row = element("div", `row unsent ${message.state}`);
    const body = element("p", "text");
    if (message.op === "me") body.append("* ");
    if (message.op === "topic") body.append("Topic: ");
    body.append(message.text);
    const state = element("p", "state", STATES[message.state] ?? "");
    row.append(body, state);
    if (message.state === "waiting") {
      state.textContent = message.sent ? "Sending…" : "Waiting for the connection…";
    } else if (message.state === "failed") {
      state.append(` ${message.error} `);
      if (!message.hopeless) state.append(button("Send again", () => this.retry(message)), " ");
      state.append(button("Edit", () => this.edit(message)), " ", button("Discard", () => this.discard(message)));
    }
    return row;
  }
}

const STATES = { delayed: "The server is still trying…", failed: "Not sent:" };

const ROWS = {
  said: speech,
  received: speech,
  sent: speech,
  did(row, { nick, text, at }) {
    const line = element("p", "text");
    line.append(name(nick), " ");
    appendText(line, text);
    row.append(timeElement(at), line);
  },
  topic(row, { nick, text, at }) {
    const line = element("p", "text");
    line.append(name(nick), text ? " set the topic: " : " took the topic away");
    if (text) appendText(line, text);
    row.append(timeElement(at), line);
  },
  joined(row, { members, at }) {
    people(row, at, members, "joined");
  },
  left(row, { members, at, reason }) {
    people(row, at, members, reason ? `left (${reason})` : "left");
  },
  renamed(row, { old, new: fresh, at }) {
    const line = element("p", "text");
    line.append(name(old), " is now ", name(fresh));
    row.append(timeElement(at), line);
  },
  gap(row, { first, last }) {
    const what = first === undefined
      ? "Messages may be missing here: the server's log was begun anew"
      : first === last
        ? `Message ${first} is no longer available`
        : `Messages ${first} to ${last} are missing here`;
    const line = divider("gap-line", what);
    line.setAttribute("role", "note");
    row.append(line);
  },
  info(row, { lines }) {
    const body = element("div", "lines");
    for (const line of lines) body.append(appendText(element("p"), line));
    row.append(body);
  },
};

function speech(row, { nick, text, at }, continued) {
  const body = element("p", "text");
  appendText(body, text);
  if (continued) {
    row.classList.add("continued");
    row.append(timeElement(at), element("span", "hidden", `${nick}: `), body);
  } else {
    const head = element("p", "head");
    head.append(name(nick), " ", timeElement(at));
    row.append(avatar(nick), head, body);
  }
}

function people(row, at, members, what) {
  const shown = members.slice(0, 12);
  const line = element("p", "text");
  for (const [index, { nick }] of shown.entries()) line.append(index ? ", " : "", name(nick));
  const rest = members.length - shown.length;
  line.append(rest ? ` and ${count(rest, "other", "others")} ${what}` : ` ${what}`);
  row.append(timeElement(at), line);
}

function together(previous, entry) {
  return SPOKEN.has(entry.type) && previous?.type === entry.type && previous.nick === entry.nick &&
    entry.at - previous.at < TOGETHER && dayOf(previous.at) === dayOf(entry.at);
}

const SPOKEN = new Set(["said", "received", "sent"]);

const name = (nick) => element("b", `nick ${hue(nick)}`, nick);

function divider(kind, text) {
  const line = element("div", `divider ${kind}`);
  line.append(element("span", "", text));
  return line;
}

function button(text, act) {
  const made = element("button", "link", text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

