// What the slash commands do: one function each.

import { COMMANDS } from "./commands.js";
import { count, moment } from "./text.js";

// Each takes the chat, the conversation it was written in and the words behind it; what it returns,
// lines, is shown there. A refusal by the server passes.
export const VERBS = {
  join: (chat, _, [room]) => chat.join(room),
  async leave(chat, here, [room]) {
    const leaving = room ? chat.room(room.replace(/^#/, "")) : here;
    if (!leaving) return [room ? `You are not in #${room.replace(/^#/, "")}` : "You are in no room"];
    await chat.leave(leaving);
  },
  me: (chat, here, [text]) => inRoom(here) ?? chat.post(here, "me", text),
  async msg(chat, _, [nick, text]) {
    await chat.post(chat.talkTo(nick), "msg", text);
  },
  async topic(chat, here, [text]) {
    const misplaced = inRoom(here);
    if (misplaced) return misplaced;
    if (text) return chat.post(here, "topic", text);
    const { topic } = await chat.connection.request("topic", { room: here.name });
    return topic
      ? [`#${here.name}: ${topic.text} (${topic.nick}, ${moment(topic.at)})`]
      : [`#${here.name} has no topic`];
  },
  nick: (chat, _, [nick]) => chat.rename(nick),
  async away(chat, _, [text]) {
    await chat.setAway(text ?? "");
    return [text ? `You are away: ${text}` : "You are back"];
  },
  async users(chat, here) {
    const misplaced = inRoom(here);
    if (misplaced) return misplaced;
    const { members, total } = await chat.connection.request("users", { room: here.name });
    const names = members.map(({ nick, away }) => (away ? `${nick} (away)` : nick));
    const rest = total - members.length;
    return [`In #${here.name}: ${names.join(", ")}${rest > 0 ? ` and ${count(rest, "other", "others")}` : ""}`];
  },
  async rooms(chat) {
    const { rooms } = await chat.connection.request("rooms");
    const lines = rooms.map(({ room, members, topic }) =>
      `#${room}: ${count(members, "member", "members")}${topic ? `: ${topic.text}` : ""}`);
    return lines.length ? lines : ["There are no rooms with people"];
  },
  async whois(chat, _, [nick]) {
    const found = await chat.connection.request("whois", { nick });
    const rooms = found.rooms.map((room) => `#${room}`).join(", ");
    return [
      `${found.nick} is here since ${moment(found.since)}, on ${found.instance}`,
      rooms ? `in ${rooms}` : "in no room",
      ...(found.away === undefined ? [] : [`away: ${found.away}`]),
    ];
  },
  async ignore(chat, _, [nick]) {
    await chat.ignore(nick, true);
    return [`What ${nick} says is hidden from now on`];
  },
  async unignore(chat, _, [nick]) {
    await chat.ignore(nick, false);
    return [`What ${nick} says is shown again`];
  },
  async history(chat, here) {
    if (!here?.older) return ["There is nothing older"];
    await chat.loadOlder(here);
  },
  async motd(chat) {
    const { lines } = await chat.connection.request("motd");
    return lines.length ? lines : ["There is no message of the day"];
  },
  async ping(chat) {
    const began = performance.now();
    await chat.connection.request("ping");
    return [`The server answered after ${Math.round(performance.now() - began)} ms`];
  },
  help: () => Object.values(COMMANDS).map(({ usage, help }) => `${usage}: ${help}`),
  exit: (chat) => chat.exit(),
};

const inRoom = (here) => (here?.isRoom ? null : ["That is for rooms"]);
