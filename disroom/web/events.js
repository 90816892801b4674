// What the server's messages do: to conversations, and to the connection.

// After these the server will not have us back as we are: the user is told, and decides.
const FINAL = new Set(["nick-lost", "idle", "unnamed", "resumed-elsewhere"]);

// Take a message that is no answer. Types that are not known are passed over.
export function take(chat, message) {
  const room = message.room === undefined ? null : chat.room(message.room);
  TAKEN[message.type]?.(chat, message);
  if (room) IN_ROOM[message.type]?.(chat, room, message);
}

const TAKEN = {
  private: receivePrivate,
  reconnect: (chat, { message }) => {
    chat.trouble(message);
    chat.connection.renew();
  },
  goodbye: (chat, { code, message }) => {
    if (code === "resumed-elsewhere" && chat.entrance.takesUpAgain()) return;
    if (FINAL.has(code)) chat.end(message);
    else if (message && !chat.refuse(code, message)) chat.trouble(message);
  },
  error: (chat, { message }) => chat.trouble(message),
};

const IN_ROOM = {
  said: say,
  did: say,
  topic(chat, room, event) {
    const { text, nick, at } = event;
    room.topic = text ? { text, nick, at } : null;
    chat.tellChanged("topic", room);
    say(chat, room, event);
  },
  joined: comeAndGo,
  left: comeAndGo,
  renamed(chat, room, event) {
    if (event.session === chat.session) {
      chat.nick = event.new;
      chat.tellChanged("me", null);
    }
    comeAndGo(chat, room, event);
  },
  away(chat, room, event) {
    room.people(event);
    chat.tellChanged("people", room);
  },
  gap(chat, room, event) {
    if (event.first === undefined) room.forgetSeqs();
    chat.add(room, { at: Date.now(), ...event });
  },
  delayed: (chat, room) => chat.unsent.delayed(room),
};

function say(chat, room, event) {
  const own = event.session === chat.session;
  if (own) chat.unsent.seen(room, event);
  chat.add(room, event, !own);
}

function comeAndGo(chat, room, event) {
  room.people(event);
  chat.tellChanged("people", room);
  const mine = event.members?.every(({ session }) => session === chat.session);
  if (!mine) chat.add(room, event);
}

function receivePrivate(chat, { id, at, nick, text }) {
  const conversation = chat.conversation("private", nick);
  if (conversation.entries.some((entry) => entry.id === id)) return;
  chat.add(conversation, { type: "received", id, at, nick, text }, true);
}
