// What the page knows: who we are, our conversations, and what the server's messages do to them.

import { Connection, Disconnected, Refused } from "./connection.js";
import { Conversation } from "./conversation.js";
import { clearSession, loadSession, saveSession } from "./keeping.js";
import { keyOf, same } from "./text.js";
import { Unsent } from "./unsent.js";

const PAGE = 100; // messages asked for at once
const MOST_FILLED = 1_000; // missed messages fetched after a session was lost; more is a gap
const KEPT_PRIVATE = 200; // private messages of a conversation that a reload keeps: the server has none
const SAVE_AFTER = 300;
const NAME_HELD = 30_000;

// After these the server will not have us back as we are: the user is told, and decides.
const FINAL = new Set(["nick-lost", "idle", "unnamed", "resumed-elsewhere"]);

// `changed` is told what has changed: (what, conversation, detail).
export class Chat {
  #token = null;
  #log = null;
  #saving = 0;
  #wanted = null;
  #lostSince = 0;

  constructor({ url, changed }) {
    this.changed = changed;
    this.nick = "";
    this.session = "";
    this.away = null;
    this.ignored = new Set();
    this.conversations = new Map();
    this.active = null;
    this.connection = new Connection({
      url,
      greet: (ask) => this.#greet(ask),
      told: (message) => this.#told(message),
      changed: (state, until) => this.#connectionChanged(state, until),
    });
    this.unsent = new Unsent({
      request: (op, fields) => this.connection.request(op, fields),
      online: () => this.connection.state === "online",
      changed: (conversation) => this.#changed("pending", conversation),
    });
    addEventListener("pagehide", () => this.#save());
  }

  // What this tab goes on with after a reload.
  get token() {
    return this.#token;
  }

  get rooms() {
    return [...this.conversations.values()].filter(({ isRoom }) => isRoom);
  }

  get privates() {
    return [...this.conversations.values()].filter(({ isRoom }) => !isRoom);
  }

  // Going in and out.

  // Come in anew; rejected with `Refused` where the name cannot be had.
  enter(nick, room) {
    this.nick = nick;
    this.#token = null;
    return new Promise((resolve, reject) => {
      this.#wanted = { room, resolve, reject };
      this.connection.start();
    });
  }

  // Go on as the tab's session, if there is one.
  resume() {
    const kept = loadSession();
    if (!kept.token) return false;
    this.#token = kept.token;
    this.#log = kept.log;
    this.nick = kept.nick;
    this.session = kept.session;
    this.unsent.session = kept.session;
    this.away = kept.away ?? null;
    this.ignored = new Set(kept.ignored);
    for (const name of kept.rooms) {
      const room = this.#conversation("room", name);
      room.lastSeq = kept.seqs[name] ?? 0;
      room.bare = true;
    }
    for (const { name, entries } of kept.privates) this.#conversation("private", name).entries = entries;
    for (const { kind, name, pending } of kept.unsent) this.#conversation(kind, name).pending = pending;
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
    this.#end("");
  }

  #end(message) {
    this.connection.stop();
    this.#token = null;
    this.conversations.clear();
    this.active = null;
    clearTimeout(this.#saving);
    this.#saving = 0;
    clearSession();
    this.changed("ended", null, message);
  }

  // Begin or resume the session on a new connection.
  async #greet(ask) {
    let hello = null;
    try {
      hello = this.#token
        ? await ask("hello", { token: this.#token, log: this.#log, seqs: this.#seqs() })
        : await ask("hello", { nick: this.nick });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (this.#wanted || !this.#token) return this.#turnedAway(error);
      hello = await this.#beginAnew(ask, error);
      if (!hello) return;
    }
    this.#token = hello.token;
    if (this.#log && this.#log !== hello.log) for (const room of this.rooms) room.forgetSeqs();
    this.#log = hello.log;
    this.nick = hello.nick ?? this.nick;
    try {
      if (hello.rooms?.length) await this.#resumed(ask, hello.rooms);
      else await this.#begun(ask);
    } catch (error) {
      if (!(error instanceof Refused && this.#wanted)) throw error;
      await ask("exit"); // or the name would be held
      this.#token = null;
      return this.#turnedAway(error);
    }
    this.#lostSince = 0;
    this.#changed("me", null);
    this.#wanted?.resolve();
    this.#wanted = null;
  }

  #turnedAway(error) {
    this.connection.stop();
    if (this.#wanted) {
      const { reject } = this.#wanted;
      this.#wanted = null;
      reject(error);
    } else {
      this.#end(error.message);
    }
  }

  // The session is over: the same name again, and the same rooms. The name may be held for some
  // seconds by what is left of it.
  async #beginAnew(ask, error) {
    if (error.code !== "no-session") throw error;
    this.#lostSince ||= Date.now();
    try {
      return await ask("hello", { nick: this.nick });
    } catch (refusal) {
      const held = refusal.code === "nick-taken" && Date.now() - this.#lostSince > NAME_HELD;
      if (!held) throw refusal;
      this.#end(`Your session is over, and ${refusal.message}.`);
      return null;
    }
  }

  async #begun(ask) {
    const { session } = await ask("whois", { nick: this.nick });
    this.session = this.unsent.session = session;
    this.away = null;
    for (const nick of this.ignored) await ask("ignore", { nick });
    const names = this.#wanted?.room ? [this.#wanted.room] : this.rooms.map(({ name }) => name);
    for (const name of names) await this.#enterRoom(ask, name);
    if (this.#wanted && !this.active) this.select(this.rooms[0] ?? null);
  }

  async #resumed(ask, rooms) {
    const known = new Set(rooms.map(({ room }) => keyOf(room)));
    for (const { room, members, total, topic } of rooms) {
      const conversation = this.#conversation("room", room);
      conversation.setMembers(members, total);
      conversation.topic = topic ?? null;
      this.#changed("topic", conversation);
      this.#changed("people", conversation);
    }
    for (const room of this.rooms) {
      if (!known.has(keyOf(room.name))) await this.#enterRoom(ask, room.name);
      else if (room.bare) await this.#refill(ask, room);
    }
  }

  // After a reload the page has nothing of the room but what was missed.
  async #refill(ask, conversation) {
    const { messages, older } = await ask("history", { room: conversation.name, count: PAGE });
    conversation.bare = false;
    conversation.older = older;
    this.#merged(conversation, messages);
  }

  async #enterRoom(ask, name) {
    const before = this.conversations.get(`room:${keyOf(name)}`)?.lastSeq ?? 0;
    const answer = await ask("join", { room: name });
    const conversation = this.#conversation("room", answer.room);
    conversation.name = answer.room;
    conversation.setMembers(answer.members, answer.total);
    conversation.topic = answer.topic ?? null;
    const messages = answer.messages ?? [];
    if (!before) conversation.older = answer.older ?? false;
    else if (messages.length && messages[0].seq > before) await this.#fill(ask, conversation, before, messages);
    this.#merged(conversation, messages);
    this.#changed("topic", conversation);
    this.#changed("people", conversation);
    this.#changed("list", conversation);
    return conversation;
  }

  // Fetch what was said between our last message and the first that joining has shown.
  async #fill(ask, conversation, last, shown) {
    const { name: room } = conversation;
    let [{ seq: before }] = shown;
    for (let filled = 0; before > last + 1; ) {
      const { messages, older } = await ask("history", { room, count: PAGE, before });
      const missed = messages.filter(({ seq }) => seq > last);
      shown.unshift(...missed);
      if (!older || missed.length < messages.length) return;
      [{ seq: before }] = messages;
      filled += messages.length;
      if (filled >= MOST_FILLED) {
        const at = messages[0].at;
        this.#add(conversation, { type: "gap", room, first: last + 1, last: before - 1, at });
        return;
      }
    }
  }

  #seqs() {
    return Object.fromEntries(this.rooms.map(({ name, lastSeq }) => [name, lastSeq]));
  }

  // What the user does.

  async join(name) {
    const wanted = name.replace(/^#/, "");
    const there = this.conversations.get(`room:${keyOf(wanted)}`);
    const room = there ?? (await this.#enterRoom((op, fields) => this.connection.request(op, fields), wanted));
    this.select(room);
  }

  async leave(conversation) {
    if (conversation.isRoom) await this.connection.request("leave", { room: conversation.name });
    this.conversations.delete(conversation.id);
    if (this.active === conversation) this.select(this.rooms.at(-1) ?? this.privates.at(-1) ?? null);
    this.#changed("list", conversation);
  }

  // Open the private messages with somebody.
  talkTo(nick) {
    const conversation = this.#conversation("private", nick);
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
    this.#changed("active", conversation, left);
  }

  // The user is looking at the active conversation again.
  read() {
    if (!this.active?.unread) return;
    this.active.unread = 0;
    this.active.mentioned = false;
    this.#changed("list", this.active);
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
    this.#add(conversation, { type: "sent", id, at, nick: this.nick, text });
    if (away) this.tell(conversation, [`${conversation.name} is away: ${away}`]);
  }

  async rename(nick) {
    const answer = await this.connection.request("nick", { nick });
    this.nick = answer.nick;
    this.#changed("me", null);
  }

  async setAway(text) {
    await this.connection.request("away", text ? { text } : {});
    this.away = text || null;
    this.#changed("me", null);
  }

  async ignore(nick, ignored) {
    await this.connection.request(ignored ? "ignore" : "unignore", { nick });
    if (ignored) this.ignored.add(keyOf(nick));
    else this.ignored.delete(keyOf(nick));
    this.#changed("me", null);
  }

  async loadOlder(conversation) {
    if (conversation.loading || !conversation.older || conversation.bare) return;
    conversation.loading = true;
    try {
      const before = conversation.firstSeq;
      const page = { room: conversation.name, count: PAGE, ...(before === null ? {} : { before }) };
      const { messages, older } = await this.connection.request("history", page);
      conversation.older = older && messages.length > 0;
      this.#merged(conversation, messages);
    } finally {
      conversation.loading = false;
      this.#changed("older", conversation);
    }
  }

  // Put lines of the page's own into a conversation.
  tell(conversation, lines) {
    if (conversation) this.#add(conversation, { type: "info", at: Date.now(), lines });
  }

  // What the server says.

  #told(message) {
    const conversation = message.room && this.conversations.get(`room:${keyOf(message.room)}`);
    const take = TAKEN[message.type];
    if (take) this[take](message);
    else if (conversation && message.type === "delayed") this.unsent.delayed(conversation);
    else if (conversation) this.#happened(conversation, message);
    else if (message.type === "error") this.changed("trouble", null, message.message);
  }

  #happened(conversation, event) {
    if (event.type === "gap") {
      if (event.first === undefined) conversation.forgetSeqs();
      this.#add(conversation, { at: Date.now(), ...event });
    } else if (PEOPLE.has(event.type)) {
      this.#people(conversation, event);
    } else if (SAID.has(event.type)) {
      this.#said(conversation, event);
    }
  }

  #said(conversation, event) {
    const own = event.session === this.session;
    if (own) this.unsent.seen(conversation, event);
    if (event.type === "topic") {
      const { text, nick, at } = event;
      conversation.topic = text ? { text, nick, at } : null;
      this.#changed("topic", conversation);
    }
    this.#add(conversation, event, !own);
  }

  #people(conversation, event) {
    conversation.people(event);
    if (event.type === "renamed" && event.session === this.session) {
      this.nick = event.new;
      this.#changed("me", null);
    }
    this.#changed("people", conversation);
    const mine = event.members?.every(({ session }) => session === this.session);
    if (event.type !== "away" && !mine) this.#add(conversation, event);
  }

  receivePrivate({ id, at, nick, text }) {
    const conversation = this.#conversation("private", nick);
    if (conversation.entries.some((entry) => entry.id === id)) return;
    this.#add(conversation, { type: "received", id, at, nick, text }, true);
  }

  serverAsksToReconnect() {
    this.connection.renew();
  }

  serverSaysGoodbye({ code, message }) {
    if (FINAL.has(code)) this.#end(message);
    else if (message) this.changed("trouble", null, message);
  }

  // Bookkeeping.

  #conversation(kind, name) {
    const made = new Conversation(kind, name);
    const there = this.conversations.get(made.id);
    if (there) return there;
    this.conversations.set(made.id, made);
    this.#changed("list", made);
    return made;
  }

  #add(conversation, entry, fromOthers = false) {
    if (!conversation.append(entry)) return;
    if (fromOthers && (conversation !== this.active || document.hidden)) {
      if (!conversation.unread) conversation.firstNew = entry;
      conversation.unread += 1;
      conversation.mentioned ||= !conversation.isRoom || mentions(entry.text, this.nick);
      this.#changed("list", conversation);
    }
    this.#changed("append", conversation, entry);
    const gone = conversation.trim();
    if (gone) this.#changed("trimmed", conversation, gone);
  }

  #merged(conversation, messages) {
    const [how, fresh] = conversation.merge(messages);
    if (how !== "none") this.#changed(how, conversation, fresh);
  }

  #connectionChanged(state, until) {
    this.changed("connection", null, { state, until });
    if (state === "online") this.unsent.sendAgain(this.conversations.values(), this.session);
  }

  #changed(what, conversation, detail) {
    this.changed(what, conversation, detail);
    if (this.#token && !this.#saving) {
      this.#saving = setTimeout(() => this.#save(), SAVE_AFTER);
    }
  }

  #save() {
    clearTimeout(this.#saving);
    this.#saving = 0;
    if (!this.#token) return;
    saveSession({
      token: this.#token,
      log: this.#log,
      nick: this.nick,
      session: this.session,
      away: this.away,
      ignored: [...this.ignored],
      seqs: this.#seqs(),
      rooms: this.rooms.map(({ name }) => name),
      active: this.active?.id ?? null,
      privates: this.privates.map(({ name, entries }) => ({ name, entries: entries.slice(-KEPT_PRIVATE) })),
      unsent: [...this.conversations.values()]
        .filter(({ pending }) => pending.length)
        .map(({ kind, name, pending }) => ({ kind, name, pending })),
    });
  }
}

const SAID = new Set(["said", "did", "topic"]);
const PEOPLE = new Set(["joined", "left", "renamed", "away"]);
const TAKEN = {
  private: "receivePrivate",
  reconnect: "serverAsksToReconnect",
  goodbye: "serverSaysGoodbye",
};

const WORD = "[\\p{L}\\p{N}\\p{M}_.-]";

// Whether a text has a name as a word of its own.
export function mentions(text, nick) {
  if (!nick) return false;
  const escaped = nick.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<!${WORD})${escaped}(?!${WORD}*[\\p{L}\\p{N}_])`, "iu").test(text);
}

export { Disconnected, Refused, same };
