// The slash commands: one row each.

export const COMMANDS = {
  join: { usage: "/join ROOM", help: "join a room, or go to it", least: 1 },
  leave: { usage: "/leave [ROOM]", help: "leave this room, or that one" },
  me: { usage: "/me TEXT", help: "an action", least: 1, rest: true },
  msg: { usage: "/msg NAME TEXT", help: "a private message", least: 2, rest: true },
  topic: { usage: "/topic [TEXT]", help: "see or set the topic", rest: true },
  nick: { usage: "/nick NAME", help: "go by another name", least: 1 },
  away: { usage: "/away [TEXT]", help: "leave word, or be back", rest: true },
  users: { usage: "/users", help: "who is in this room" },
  rooms: { usage: "/rooms", help: "the rooms with people" },
  whois: { usage: "/whois NAME", help: "who that is", least: 1 },
  ignore: { usage: "/ignore NAME", help: "hide what they say", least: 1 },
  unignore: { usage: "/unignore NAME", help: "show it again", least: 1 },
  history: { usage: "/history", help: "older messages; scrolling up does it too" },
  motd: { usage: "/motd", help: "the message of the day" },
  ping: { usage: "/ping", help: "how long the server takes" },
  help: { usage: "/help", help: "this list; a text that begins with / is written //" },
  exit: { usage: "/exit", help: "leave the chat" },
};

const ALIASES = { quit: "exit", j: "join", part: "leave", query: "msg", names: "users" };

// Read a line: {say: text}, {command, words} or {error: what is wrong with it}.
export function parse(line) {
  if (!line.startsWith("/") || line.startsWith("//")) {
    return { say: line.startsWith("//") ? line.slice(1) : line };
  }
  const [, written, rest] = /^\/(\S*)\s*([\s\S]*)$/.exec(line);
  const name = ALIASES[written.toLowerCase()] ?? written.toLowerCase();
  if (!Object.hasOwn(COMMANDS, name)) {
    return { error: `There is no command /${written}; /help lists them. To say it: //${line.slice(1)}` };
  }
  const { least = 0, rest: takesRest = false, usage } = COMMANDS[name];
  const words = takesRest ? split(rest.trim(), least) : rest.trim().split(/\s+/).filter(Boolean);
  return words.length < least ? { error: `Write it like this: ${usage}` } : { command: name, words };
}

// The last of the words takes the rest of the line.
function split(text, words) {
  const parts = [];
  while (parts.length < words - 1) {
    const match = /^(\S+)\s+([\s\S]+)$/.exec(text);
    if (!match) break;
    parts.push(match[1]);
    text = match[2];
  }
  if (text) parts.push(text);
  return parts;
}
