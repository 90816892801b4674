// Where one writes: Enter sends, a slash begins a command, and each conversation keeps its draft.

import { parse } from "./commands.js";
import { Disconnected, Refused } from "./connection.js";
import { VERBS } from "./verbs.js";

const MOST_UNSENT = 100;

export class Composer {
  #drafts = new Map();
  #conversation = null;

  constructor(chat, { form, text }) {
    this.chat = chat;
    this.text = text;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    text.addEventListener("input", () => this.#fit());
  }

  show(conversation) {
    if (this.#conversation === conversation) return;
    if (this.#conversation) this.#drafts.set(this.#conversation.id, this.text.value);
    this.#conversation = conversation;
    this.text.value = this.#drafts.get(conversation?.id) ?? "";
    this.text.placeholder = !conversation
      ? "Join a room to write"
      : conversation.isRoom ? `Write to #${conversation.name}` : `Write to ${conversation.name}`;
    this.#fit();
  }

  forget() {
    this.#drafts.clear();
    this.#conversation = null;
    this.text.value = "";
  }

  // Have a text to be written further.
  put(text) {
    this.text.value = text;
    this.#fit();
    this.focus();
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  #fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight}px`;
  }

  async #send() {
    const line = this.text.value.trim();
    if (!line) return;
    const { chat } = this;
    const here = chat.active;
    if (here?.pending.length >= MOST_UNSENT) {
      chat.tell(here, ["Too much is waiting to be sent already; this stays here meanwhile"]);
      return;
    }
    this.text.value = "";
    this.#fit();
    const { say, command, words, error } = parse(line);
    if (error) {
      chat.tell(here, [error]);
    } else if (command) {
      await this.#carryOut(here, command, words);
    } else if (here) {
      await chat.post(here, "send", say);
    }
  }

  async #carryOut(here, command, words) {
    const { chat } = this;
    try {
      const lines = await VERBS[command](chat, here, words);
      if (lines) chat.tell(here, lines);
    } catch (error) {
      chat.tell(here, [inWords(error)]);
    }
  }
}

// What went wrong with a request, for people.
export function inWords(error) {
  if (error instanceof Refused) return `That did not work: ${error.message}`;
  if (error instanceof Disconnected) return "There is no connection just now; try again when it is back";
  throw error;
}
