// How a session begins, and how it goes on over another connection.

import { Refused } from "./connection.js";
import { keyOf } from "./text.js";

const VERSION = 1; // of the protocol
const PAGE = 100; // messages asked for at once
const MOST_FILLED = 1_000; // missed messages fetched after a session was lost; more is a gap
const NAME_HELD = 30_000; // for so long what is left of a lost session may hold its name

// Whoever comes in is told of it by a promise; whoever comes back is not.
export class Entrance {
  #wanted = null;
  #lostSince = 0;
  #asking = null; // the token that a server is being asked with
  #inVain = null; // the token that one was asked with which has not answered

  constructor(chat) {
    this.chat = chat;
    this.token = null;
    this.log = null;
  }

  // The session goes on here: once more than the hello is answered, no token before this one is good.
  answered() {
    if (!this.#asking) this.#inVain = null;
  }

  // Whether the session may have been taken up by a server that was asked in vain: one that stood still
  // reads what it was asked when it moves again, though nobody waits for it there. Then the next hello asks
  // for it with that token, which is good there until the one that was answered is used.
  takesUpAgain() {
    if (!this.#inVain) return false;
    this.token = this.#inVain;
    this.#inVain = null;
    this.chat.tellChanged("me", null);
    return true;
  }

  // Come in anew; rejected with `Refused` where the name or the room cannot be had.
  enter(nick, room) {
    this.chat.nick = nick;
    this.token = null;
    this.#inVain = null;
    this.log = null;
    return new Promise((resolve, reject) => {
      this.#wanted = { room, resolve, reject };
      this.chat.connection.start();
    });
  }

  // Say to whoever is coming in that it cannot be; whether somebody was.
  refuse(code, message) {
    if (!this.#wanted) return false;
    const { reject } = this.#wanted;
    this.#wanted = null;
    this.token = null;
    this.chat.connection.stop();
    reject(new Refused(code, message));
    return true;
  }

  // Begin or resume on a new connection, with the function for requests on it.
  async greet(ask) {
    const { chat } = this;
    const hello = await this.#hello(ask);
    if (!hello) return;
    if (hello.version !== VERSION) chat.trouble("The server speaks a newer version: reload this page.");
    this.token = hello.token;
    if (this.log && this.log !== hello.log) for (const room of chat.rooms) room.forgetSeqs();
    this.log = hello.log;
    chat.nick = hello.nick ?? chat.nick;
    try {
      if (hello.rooms.length) await this.#resumed(ask, hello.rooms);
      else await this.#begun(ask);
    } catch (error) {
      if (!(error instanceof Refused && this.#wanted)) throw error;
      await ask("exit"); // or the name would be held
      this.refuse(error.code, error.message);
      return;
    }
    this.#lostSince = 0;
    chat.tellChanged("me", null);
    this.#wanted?.resolve();
    this.#wanted = null;
  }

  // Say hello, and again where the session is over: the name may be had, and the rooms are known.
  async #hello(ask) {
    this.#asking = this.token;
    try {
      return this.token
        ? await ask("hello", { token: this.token, log: this.log, seqs: this.#seqs() })
        : await ask("hello", { nick: this.chat.nick });
    } catch (error) {
      if (!(error instanceof Refused)) {
        this.#inVain = this.#asking ?? this.#inVain;
        throw error;
      }
      if (this.refuse(error.code, error.message)) return null;
      if (error.code !== "no-session") throw error;
    } finally {
      this.#asking = null;
    }
    this.#inVain = null;
    this.#lostSince ||= Date.now();
    try {
      return await ask("hello", { nick: this.chat.nick });
    } catch (error) {
      const lost = error.code === "nick-taken" && Date.now() - this.#lostSince > NAME_HELD;
      if (!lost) throw error;
      this.chat.end(`Your session is over, and ${error.message}.`);
      return null;
    }
  }

  #seqs() {
    return Object.fromEntries(this.chat.rooms.map(({ name, lastSeq }) => [name, lastSeq]));
  }

  async #begun(ask) {
    const { chat } = this;
    const { session } = await ask("whois", { nick: chat.nick });
    chat.session = session;
    chat.away = null;
    for (const nick of chat.ignored) await ask("ignore", { nick });
    const names = this.#wanted ? [this.#wanted.room] : chat.rooms.map(({ name }) => name);
    for (const name of names) await this.join(ask, name);
    if (!chat.active) chat.select(chat.rooms[0] ?? null);
  }

  async #resumed(ask, rooms) {
    const { chat } = this;
    const known = new Set(rooms.map(({ room }) => keyOf(room)));
    for (const each of rooms) {
      const conversation = chat.conversation("room", each.room);
      this.#entered(conversation, each);
      if (each.messages) chat.merge(conversation, each.messages);
    }
    for (const room of chat.rooms) {
      if (!known.has(keyOf(room.name))) await this.join(ask, room.name);
      else if (room.bare || room.unfilled !== null) await this.#refill(ask, room);
    }
  }

  #entered(conversation, { members, total, topic }) {
    conversation.setMembers(members, total);
    conversation.topic = topic ?? null;
    this.chat.tellChanged("topic", conversation);
    this.chat.tellChanged("people", conversation);
  }

  // Fetch what was said last: after a reload the page has nothing of the room but what was missed, and
  // where it lost the connection while it fetched, it has a part.
  async #refill(ask, conversation) {
    const { messages, older } = await ask("history", { room: conversation.name, count: PAGE });
    await this.#shown(ask, conversation, conversation.unfilled, messages, older);
  }

  // Enter a room, and close the gap to what the page has of it already. Whoever was there when it had
  // no message has all up to then, too.
  async join(ask, name) {
    const { chat } = this;
    const known = chat.room(name);
    const last = known ? known.unfilled ?? known.lastSeq : null;
    const answer = await ask("join", { room: name });
    const conversation = chat.conversation("room", answer.room);
    conversation.name = answer.room;
    conversation.bare ||= !known;
    this.#entered(conversation, answer);
    await this.#shown(ask, conversation, last, answer.messages ?? [], answer.older ?? false);
    chat.tellChanged("list", conversation);
    return conversation;
  }

  // Take in the newest messages of a room, and those between them and `last`, if that is not null.
  async #shown(ask, conversation, last, messages, older) {
    let more = older;
    if (last !== null && older && messages[0]?.seq > last) {
      conversation.unfilled = last;
      more = await this.#fill(ask, conversation, last, messages);
    }
    conversation.unfilled = null;
    if (conversation.bare) conversation.older = more;
    conversation.bare = false;
    this.chat.merge(conversation, messages);
    this.chat.tellChanged("older", conversation);
  }

  // Fetch what was said after `last` and before the first that is shown, and put it in front; whether
  // there is more before that.
  async #fill(ask, conversation, last, shown) {
    const { name: room } = conversation;
    let [{ seq: before }] = shown;
    for (let filled = 0; before > last + 1; ) {
      const { messages, older } = await ask("history", { room, count: PAGE, before });
      const missed = messages.filter(({ seq }) => seq > last);
      shown.unshift(...missed);
      if (!older || missed.length < messages.length) return older || missed.length < messages.length;
      [{ seq: before }] = messages;
      filled += messages.length;
      if (filled >= MOST_FILLED) {
        const { at } = messages[0];
        // Where the page has nothing from before, scrolling up brings it.
        if (!conversation.bare) shown.unshift({ type: "gap", room, first: last + 1, last: before - 1, at });
        return true;
      }
    }
    return true;
  }
}
