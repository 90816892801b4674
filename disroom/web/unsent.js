// Messages on their way: kept, with a key each, until the server says that they are stored.
//
// The key is the same in every attempt, so that the server stores a message once however often it
// was sent. A key means nothing in another session: there it is looked up in the room's history
// whether the old session's message arrived.

import { Disconnected, Refused } from "./connection.js";

const KEY_BYTES = 12;

export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

// Codes that say that a text cannot be sent as it is.
const HOPELESS = new Set(["text-too-long", "frame-too-long", "empty-text"]);

// `online` tells whether a request would be sent now, and `changed` is told the conversation of which
// a message was added, answered or refused.
export class Unsent {
  constructor({ request, online, changed }) {
    this.request = request;
    this.online = online;
    this.changed = changed;
  }

  // Send a text: `op` is send, me, topic, or msg to a person.
  post(conversation, op, written) {
    const text = written.toWellFormed?.() ?? written; // as the server reads half a surrogate pair
    const message = { key: freshKey(), op, text, at: Date.now(), state: "waiting", sent: false };
    conversation.pending.push(message);
    this.changed(conversation);
    return this.#send(conversation, message);
  }

  // Send everything that has had no answer, in the order of writing, as this session.
  sendAgain(conversations, session) {
    this.session = session;
    for (const conversation of conversations) {
      for (const message of [...conversation.pending]) {
        if (message.state === "failed") continue;
        if (message.sent && message.session !== session && arrived(conversation, message)) {
          this.#done(conversation, message);
        } else {
          this.#send(conversation, message);
        }
      }
    }
  }

  retry(conversation, message) {
    message.state = "waiting";
    this.changed(conversation);
    return this.#send(conversation, message);
  }

  discard(conversation, message) {
    this.#done(conversation, message);
  }

  // One of one's own messages has come by: its answer follows, or was lost with a connection.
  seen(conversation, event) {
    const message = conversation.pending.find((pending) =>
      pending.seq === event.seq ||
      (pending.sent && OPS[event.type] === pending.op && pending.text.trim() === event.text));
    if (message) this.#done(conversation, message);
  }

  delayed(conversation) {
    const message = conversation.pending.find(({ state }) => state === "waiting");
    if (!message) return;
    message.state = "delayed";
    this.changed(conversation);
  }

  async #send(conversation, message) {
    const { op, text, key } = message;
    const fields = op === "msg" ? { nick: conversation.name, text } : { room: conversation.name, text, key };
    if (this.online()) {
      message.sent = true;
      message.session = this.session;
      message.after ??= conversation.lastSeq;
    }
    try {
      const answer = await this.request(op, fields);
      message.seq = answer.seq;
      if (conversation.pending.includes(message)) this.#done(conversation, message);
      return answer;
    } catch (error) {
      if (error instanceof Disconnected && op !== "msg") return null; // sent again with the same key
      if (!(error instanceof Refused || error instanceof Disconnected)) throw error;
      if (!conversation.pending.includes(message)) return null;
      message.state = "failed";
      message.error = error.message || (message.sent ? "it may have arrived, or not" : "there is no connection");
      message.hopeless = HOPELESS.has(error.code);
      this.changed(conversation);
      return null;
    }
  }

  #done(conversation, message) {
    conversation.pending = conversation.pending.filter((pending) => pending !== message);
    this.changed(conversation);
  }
}

const OPS = { said: "send", did: "me", topic: "topic" };

function arrived(conversation, message) {
  return conversation.entries.some((entry) =>
    entry.seq > message.after && entry.session === message.session &&
    OPS[entry.type] === message.op && entry.text === message.text.trim());
}
