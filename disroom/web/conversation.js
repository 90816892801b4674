// A room, or the private messages with one person: what was said, who is there, what is new.

import { keyOf } from "./text.js";

// Beyond it the oldest are dropped from the page; scrolling up brings those of a room back.
export const MOST_ENTRIES = 6_000;

const SAID = new Set(["said", "did", "topic"]);

// An entry is an event as the server sent it, or one of the page's own types: "info" (lines that
// answer a command) and "sent" and "received" (private).
export class Conversation {
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    this.id = `${kind}:${keyOf(name)}`;
    this.entries = [];
    this.pending = [];
    this.members = new Map();
    this.total = 0;
    this.topic = null;
    this.unread = 0;
    this.mentioned = false;
    this.lastSeq = 0;
    this.older = false;
    this.loading = false;
    this.bare = false; // until its messages are here: at first, and after a reload
    this.unfilled = null; // while what came after this seq is being fetched
    this.scrolledUp = false;
    this.firstNew = null;
    this.seen = new Set(); // seqs, of the log as it is now
  }

  get isRoom() {
    return this.kind === "room";
  }

  // The seq of the oldest message of this log that the page has.
  get firstSeq() {
    return this.entries.find((entry) => entry.seq)?.seq ?? null;
  }

  // Add what has just happened; false if it was here already.
  append(entry) {
    if (SAID.has(entry.type)) {
      if (this.seen.has(entry.seq)) return false;
      this.seen.add(entry.seq);
      this.lastSeq = Math.max(this.lastSeq, entry.seq);
    }
    this.entries.push(entry);
    return true;
  }

  // Take messages of the room's history in, and the gaps among them. Returns what they are to the view: "none", "before"
  // (all of them go in front: the second value), or "anew".
  merge(messages) {
    const fresh = messages.filter(({ seq }) => !seq || !this.seen.has(seq));
    if (!fresh.length) return ["none", []];
    const [first] = this.entries;
    for (const { seq } of fresh) if (seq) this.seen.add(seq);
    this.lastSeq = Math.max(this.lastSeq, fresh.at(-1).seq);
    this.entries = woven(this.entries, fresh);
    return first && this.entries[fresh.length] === first ? ["before", fresh] : ["anew", []];
  }

  // The log was begun anew: its seqs say nothing about the old ones.
  forgetSeqs() {
    this.seen.clear();
    this.lastSeq = 0;
    if (this.unfilled !== null) this.unfilled = 0;
    this.older = false;
    for (const message of this.pending) message.after = 0;
    this.entries = this.entries.map(({ seq, ...entry }) => entry);
  }

  // Drop the oldest where there are too many, later if somebody is looking at them; returns how many
  // went.
  trim() {
    const over = this.entries.length - MOST_ENTRIES;
    if (over <= (this.scrolledUp ? MOST_ENTRIES : MOST_ENTRIES / 10)) return 0;
    for (const { seq } of this.entries.splice(0, over)) this.seen.delete(seq);
    if (this.isRoom) this.older = true;
    return over;
  }

  setMembers(members, total) {
    this.members = new Map(members.map((member) => [member.session, member]));
    this.total = total;
  }

  // Take an event about people in.
  people(event) {
    if (event.type === "joined") {
      for (const member of event.members) {
        if (!this.members.has(member.session)) this.total += 1;
        this.members.set(member.session, member);
      }
    } else if (event.type === "left") {
      for (const { session } of event.members) {
        this.members.delete(session);
        this.total = Math.max(this.members.size, this.total - 1);
      }
    } else if (event.type === "renamed") {
      const known = this.members.get(event.session);
      this.members.set(event.session, { ...known, session: event.session, nick: event.new });
    } else {
      this.members.set(event.member.session, event.member);
    }
  }
}

// Both lists as one, each in its own order. A message goes by its seq; among entries that have none
// by its time, as far as the seqs leave it free: clocks differ, and seqs of two logs say nothing.
function woven(entries, messages) {
  const all = [];
  let next = 0; // where the next entry with a seq is
  let at = 0;
  for (const message of messages) {
    const place = message.seq ?? message.last;
    for (; at < entries.length; at += 1) {
      next = Math.max(next, at);
      while (next < entries.length && !entries[next].seq) next += 1;
      const due = next < entries.length && entries[next].seq < place;
      if (!due && (entries[at].seq || message.at < entries[at].at)) break;
      all.push(entries[at]);
    }
    all.push(message);
  }
  return all.concat(entries.slice(at));
}
