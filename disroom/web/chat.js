// What the page knows: who we are and our conversations; and what the user does with them.

import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Entrance } from "./entrance.js";
import { take } from "./events.js";
import { clearSession, loadSession, saveSession } from "./keeping.js";
import { keyOf, mentions } from "./text.js";
import { Unsent } from "./unsent.js";

const PAGE = 100; // older messages asked for at once
const KEPT_PRIVATE = 200; // private messages of a conversation that a reload keeps: the server has none
const SAVE_AFTER = 300;

// `changed` is told what has changed: (what, conversation, detail).
export class Chat {
  #saving = 0;

  constructor({ url, changed }) {
    this.changed = changed;
    this.nick = "";
    this.session = "";
    this.away = null;
    this.ignored = new Set();
    this.conversations = new Map();
    this.active = null;
    this.entrance = new Entrance(this);
    this.connection = new Connection({
      url,
      greet: (ask) => this.entrance.greet(ask),
      told: (message) => take(this, message),
      answered: () => this.entrance.answered(),
      changed: (state, until) => this.#connectionChanged(state, until),
    });
    this.unsent = new Unsent({
      request: (op, fields) => this.connection.request(op, fields),
      online: () => this.connection.state === "online",
      changed: (conversation) => this.tellChanged("pending", conversation),
    });
    addEventListener("pagehide", () => this.#save());
  }

  get rooms() {
    return [...this.conversations.values()].filter(({ isRoom }) => isRoom);
  }

  get privates() {
    return [...this.conversations.values()].filter(({ isRoom }) => !isRoom);
  }

  room(name) {
    return this.conversations.get(`room:${keyOf(name)}`) ?? null;
  }

  // Going in and out.

  enter(nick, room) {
    return this.entrance.enter(nick, room);
  }

  // Go on as the tab's session; false if there is none.
  resume() {
    const kept = loadSession();
    if (!kept.token) return false;
    this.entrance.token = kept.token;
    this.entrance.log = kept.log;
    this.nick = kept.nick;
    this.session = kept.session;
    this.away = kept.away ?? null;
    this.ignored = new Set(kept.ignored);
    for (const { name, seq } of kept.rooms) {
      const room = this.conversation("room", name);
      room.lastSeq = seq;
      room.bare = true;
    }
    for (const { name, entries } of kept.privates) this.conversation("private", name).entries = entries;
    for (const { kind, name, pending } of kept.unsent) this.conversation(kind, name).pending = pending;
    this.select(this.conversations.get(kept.active) ?? this.rooms[0] ?? this.privates[0] ?? null);
    this.connection.start();
    return true;
  }

  async exit() {
    try {
      await this.connection.request("exit");
    } catch {
      // it ends with its grace
    }
    this.end("");
  }

  // The session is over, as far as this page goes.
  end(message) {
    this.connection.stop();
    this.entrance.token = null;
    this.conversations.clear();
    this.active = null;
    clearTimeout(this.#saving);
    this.#saving = 0;
    clearSession();
    this.changed("ended", null, message);
  }

  // Whoever is coming in cannot; false if nobody is.
  refuse(code, message) {
    return this.entrance.refuse(code, message);
  }

  // What the user does.

  async join(name) {
    const wanted = name.replace(/^#/, "");
    const ask = (op, fields) => this.connection.request(op, fields);
    this.select(this.room(wanted) ?? (await this.entrance.join(ask, wanted)));
  }

  async leave(conversation) {
    if (conversation.isRoom) await this.connection.request("leave", { room: conversation.name });
    this.conversations.delete(conversation.id);
    if (this.active === conversation) this.select(this.rooms.at(-1) ?? this.privates.at(-1) ?? null);
    this.tellChanged("gone", conversation);
    this.tellChanged("list", conversation);
  }

  // Open the private messages with somebody.
  talkTo(nick) {
    const conversation = this.conversation("private", nick);
    this.select(conversation);
    return conversation;
  }

  select(conversation) {
    const left = this.active;
    this.active = conversation;
    if (left && left !== conversation) left.firstNew = null;
    if (conversation) {
      conversation.unread = 0;
      conversation.mentioned = false;
    }
    this.tellChanged("active", conversation, left);
  }

  // The user is looking at the active conversation again.
  read() {
    if (!this.active?.unread) return;
    this.active.unread = 0;
    this.active.mentioned = false;
    this.tellChanged("list", this.active);
  }

  async post(conversation, op, text) {
    const kind = conversation.isRoom ? op : "msg";
    const answer = await this.unsent.post(conversation, kind, text);
    if (kind === "msg" && answer) this.#sentPrivately(conversation, answer, text);
  }

  async retry(conversation, message) {
    const answer = await this.unsent.retry(conversation, message);
    if (message.op === "msg" && answer) this.#sentPrivately(conversation, answer, message.text);
  }

  #sentPrivately(conversation, { message: id, at, away }, text) {
    this.add(conversation, { type: "sent", id, at, nick: this.nick, text });
    if (away) this.tell(conversation, [`${conversation.name} is away: ${away}`]);
  }

  async rename(nick) {
    const answer = await this.connection.request("nick", { nick });
    this.nick = answer.nick;
    this.tellChanged("me", null);
  }

  async setAway(text) {
    await this.connection.request("away", text ? { text } : {});
    this.away = text || null;
    this.tellChanged("me", null);
  }

  async ignore(nick, ignored) {
    await this.connection.request(ignored ? "ignore" : "unignore", { nick });
    if (ignored) this.ignored.add(keyOf(nick));
    else this.ignored.delete(keyOf(nick));
    this.tellChanged("me", null);
  }

  async loadOlder(conversation) {
    if (conversation.loading || !conversation.older || conversation.bare) return;
    conversation.loading = true;
    try {
      const before = conversation.firstSeq;
      const page = { room: conversation.name, count: PAGE, ...(before === null ? {} : { before }) };
      const { messages, older } = await this.connection.request("history", page);
      conversation.older = older && messages.length > 0;
      this.merge(conversation, messages);
    } finally {
      conversation.loading = false;
      this.tellChanged("older", conversation);
    }
  }

  // Bookkeeping, for the events too.

  // The conversation of that kind and name, made where there is none.
  conversation(kind, name) {
    const made = new Conversation(kind, name);
    const there = this.conversations.get(made.id);
    if (there) return there;
    this.conversations.set(made.id, made);
    this.tellChanged("list", made);
    return made;
  }

  // Put lines of the page's own into a conversation.
  tell(conversation, lines) {
    if (conversation) this.add(conversation, { type: "info", at: Date.now(), lines });
    else this.trouble(lines.join(" "));
  }

  trouble(message) {
    this.changed("trouble", null, message);
  }

  // Add what has just happened; what others say is new until it is looked at.
  add(conversation, entry, fromOthers = false) {
    if (!conversation.append(entry)) return;
    if (fromOthers && (conversation !== this.active || document.hidden)) {
      if (!conversation.unread) conversation.firstNew = entry;
      conversation.unread += 1;
      conversation.mentioned ||= !conversation.isRoom || mentions(entry.text, this.nick);
      this.tellChanged("list", conversation);
    }
    this.tellChanged("append", conversation, entry);
    const gone = conversation.trim();
    if (gone) this.tellChanged("trimmed", conversation, gone);
  }

  // Take messages of a room's history in.
  merge(conversation, messages) {
    const [how, fresh] = conversation.merge(messages);
    if (how !== "none") this.tellChanged(how, conversation, fresh);
  }

  #connectionChanged(state, until) {
    if (state === "waiting" && this.refuse("unreachable", "the server cannot be reached just now")) return;
    this.changed("connection", null, { state, until });
    if (state === "online") this.unsent.sendAgain(this.conversations.values(), this.session);
  }

  // Say what has changed, and keep it, for a reload.
  tellChanged(what, conversation, detail) {
    this.changed(what, conversation, detail);
    if (this.entrance.token) this.#saving ||= setTimeout(() => this.#save(), SAVE_AFTER);
  }

  #save() {
    clearTimeout(this.#saving);
    this.#saving = 0;
    if (!this.entrance.token) return;
    saveSession({
      token: this.entrance.token,
      log: this.entrance.log,
      nick: this.nick,
      session: this.session,
      away: this.away,
      ignored: [...this.ignored],
      rooms: this.rooms.map(({ name, lastSeq }) => ({ name, seq: lastSeq })),
      active: this.active?.id ?? null,
      privates: this.privates.map(({ name, entries }) => ({ name, entries: entries.slice(-KEPT_PRIVATE) })),
      unsent: [...this.conversations.values()]
        .filter(({ pending }) => pending.length)
        .map(({ kind, name, pending }) => ({ kind, name, pending })),
    });
  }
}
