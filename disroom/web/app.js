// The page put together: the chat in the middle, and each part of the page told what changed.

import { Announcer } from "./announcer.js";
import { Chat } from "./chat.js";
import { Composer, inWords } from "./composer.js";
import { clearSession, loadPreferences, loadSession, savePreference } from "./keeping.js";
import { drawConversations, drawMembers, short } from "./lists.js";
import { roomBrowser } from "./rooms.js";
import { drawers, theme } from "./shell.js";
import { answerOthers, takenElsewhere } from "./tab.js";
import { avatar, count, same } from "./text.js";
import { Timeline } from "./timeline.js";
import { topicEditor } from "./topic.js";
import { welcome } from "./welcome.js";

const TROUBLE_SHOWN = 8_000;

const $ = (id) => document.getElementById(id);

const chat = new Chat({ url: socketUrl(), changed: (what, ...rest) => CHANGES[what]?.(...rest) });
const timelines = new Map();
const announcer = new Announcer($("announcer"));
const composer = new Composer(chat, { form: $("composer"), text: $("text") });
const editTopic = topicEditor(chat, { button: $("topic"), shown: $("topic-text"), form: $("topic-form"),
  input: $("topic-input"), cancel: $("topic-cancel") });
const closeDrawers = drawers($("chat"), $("shade"));
const browse = roomBrowser(chat, $("browser"), join);
const comeIn = welcome(chat, $("welcome"), () => showChat());
let due = new Set();
let trouble = 0;

const CHANGES = {
  append(conversation, entry) {
    timelines.get(conversation.id)?.append(entry);
    if (conversation === chat.active) announce(conversation, entry);
    later("latest");
  },
  before(conversation, entries) {
    timelines.get(conversation.id)?.before(entries);
  },
  anew(conversation) {
    timelines.get(conversation.id)?.anew();
  },
  trimmed(conversation, rows) {
    timelines.get(conversation.id)?.trimmed(rows);
  },
  older(conversation) {
    timelines.get(conversation.id)?.drawTop();
  },
  pending(conversation) {
    timelines.get(conversation.id)?.drawPending();
  },
  topic(conversation) {
    if (conversation === chat.active) later("heading");
  },
  people(conversation) {
    if (conversation === chat.active) later("members");
  },
  gone(conversation) {
    timelines.get(conversation.id)?.remove();
    timelines.delete(conversation.id);
  },
  list: () => later("lists"),
  me: () => later("me", "lists", "members"),
  active(conversation, left) {
    if (left && left !== conversation) {
      left.scrolledUp = false;
      timelines.get(left.id)?.show(false);
    }
    drawActive(conversation);
  },
  connection: (_, { state, until }) => drawConnection(state, until),
  trouble(_, message) {
    showTrouble(message);
  },
  ended(_, message) {
    for (const timeline of timelines.values()) timeline.remove();
    timelines.clear();
    composer.forget();
    $("chat").hidden = true;
    document.title = "DisRoom";
    comeIn(message);
  },
};

const DRAWN = {
  lists() {
    drawConversations($("rooms"), chat.rooms, chat.active, select);
    drawConversations($("privates"), chat.privates, chat.active, select);
    $("privates-title").hidden = !chat.privates.length;
    const elsewhere = [...chat.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
    $("elsewhere").hidden = !elsewhere;
    $("elsewhere").textContent = short(elsewhere);
    const here = chat.active ? `${chat.active.isRoom ? "#" : ""}${chat.active.name}` : "";
    document.title = `${elsewhere ? `(${short(elsewhere)}) ` : ""}${here ? `${here} · ` : ""}DisRoom`;
  },
  heading() {
    const conversation = chat.active;
    $("title").textContent = conversation ? `${conversation.isRoom ? "#" : ""}${conversation.name}` : "No room";
    $("leave").hidden = !conversation;
    $("leave").setAttribute("aria-label",
      conversation?.isRoom ? `Leave #${conversation.name}` : `Close the messages with ${conversation?.name}`);
    $("leave").title = $("leave").getAttribute("aria-label");
    editTopic(conversation);
  },
  members() {
    const conversation = chat.active;
    const isRoom = conversation?.isRoom ?? false;
    $("show-members").hidden = $("members").hidden = !isRoom;
    if (!isRoom) return;
    $("member-count").textContent = conversation.total;
    $("show-members").setAttribute("aria-label", `Members: ${conversation.total}`);
    drawMembers($("member-list"), $("members-title"), conversation, {
      nick: chat.nick,
      away: chat.away,
      talkTo(nick) {
        closeDrawers();
        chat.talkTo(nick);
        composer.focus();
      },
    });
  },
  me() {
    $("me").textContent = chat.nick;
    const face = avatar(chat.nick);
    face.id = "me-avatar";
    $("me-avatar").replaceWith(face);
    $("away").setAttribute("aria-pressed", String(chat.away !== null));
    $("away").title = chat.away === null ? "Away" : "I am back";
    savePreference("nick", chat.nick);
  },
  latest() {
    const timeline = chat.active && timelines.get(chat.active.id);
    const hidden = !timeline || timeline.atEnd;
    $("latest").hidden = hidden;
    if (!hidden) $("latest").textContent = timeline.below ? `↓ ${count(timeline.below, "new message", "new messages")}` : "↓ Latest";
  },
};

// Have parts of the page drawn at the next frame, once, whatever happens until then.
function later(...parts) {
  if (!due.size) setTimeout(draw, document.hidden ? 250 : 16);
  for (const part of parts) due.add(part);
}

function draw() {
  const parts = due;
  due = new Set();
  for (const part of parts) DRAWN[part]();
}

function drawActive(conversation) {
  if (conversation) {
    const timeline = timelines.get(conversation.id) ?? newTimeline(conversation);
    timeline.show(true);
    timeline.drawPending();
    timeline.drawTop();
  }
  composer.show(conversation);
  later("lists", "heading", "members", "latest");
}

function newTimeline(conversation) {
  const timeline = new Timeline(conversation, {
    needOlder: () => chat.loadOlder(conversation).catch(inWords),
    scrolled(up) {
      conversation.scrolledUp = up;
      later("latest");
    },
    retry: (message) => chat.retry(conversation, message),
    edit(message) {
      chat.unsent.discard(conversation, message);
      composer.put(message.text);
    },
    discard: (message) => chat.unsent.discard(conversation, message),
  });
  timelines.set(conversation.id, timeline);
  $("timelines").append(timeline.element);
  return timeline;
}

function announce(conversation, entry) {
  if (entry.type === "info") announcer.say(entry.lines.join(". "));
  else if (entry.text && entry.type !== "sent" && !same(entry.nick, chat.nick)) announcer.say(`${entry.nick}: ${entry.text}`);
  else if (entry.type === "gap") announcer.say(`Messages are missing in ${conversation.name}`);
}

const CONNECTION = { connecting: "Connecting…", online: "Online", waiting: "Offline", stopped: "" };

function drawConnection(state, until) {
  $("connection").textContent = CONNECTION[state];
  document.body.dataset.connection = state;
  clearTimeout(trouble);
  if (state === "online" || state === "stopped") $("notice").hidden = true;
  else if (state === "waiting") showWaiting(until);
  else $("notice-text").textContent = "Connecting…";
}

// Say from the second attempt on that the connection is lost: the first mostly mends it unseen.
function showWaiting(until) {
  const show = () => {
    const left = Math.ceil((until - Date.now()) / 1_000);
    $("notice-text").textContent = left > 0
      ? `The connection is lost. Trying again in ${left} s; what you write is sent then.`
      : "The connection is lost. Trying again…";
    $("notice").hidden = false;
    $("retry").hidden = false;
    if (left > 0) trouble = setTimeout(show, 1_000);
  };
  trouble = setTimeout(show, $("notice").hidden ? 700 : 0);
}

function showTrouble(message) {
  clearTimeout(trouble);
  $("notice-text").textContent = message;
  $("notice").hidden = false;
  $("retry").hidden = true;
  trouble = setTimeout(() => ($("notice").hidden = true), TROUBLE_SHOWN);
}

function select(conversation) {
  closeDrawers();
  chat.select(conversation);
  composer.focus();
}

async function join(room) {
  try {
    await chat.join(room);
    closeDrawers();
    composer.focus();
  } catch (error) {
    showTrouble(inWords(error));
  }
}

function showChat() {
  $("welcome").hidden = true;
  $("chat").hidden = false;
  later("me", "lists", "heading", "members");
  composer.focus();
}

function socketUrl() {
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  return url.href;
}

// Alt with an arrow goes to the next conversation, as Tab would through the list.
function step(by) {
  const all = [...chat.rooms, ...chat.privates];
  const at = all.indexOf(chat.active);
  if (all.length > 1) select(all[(at + by + all.length) % all.length]);
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    showTrouble(inWords(error));
  }
}

theme($("theme"));
$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = $("join-room").value.trim();
  if (!room) return;
  $("join-room").value = "";
  join(room);
});
$("browse").addEventListener("click", browse);
$("leave").addEventListener("click", () => attempt(() => chat.leave(chat.active)));
$("away").addEventListener("click", () => attempt(() => chat.setAway(chat.away === null ? "away" : "")));
$("exit").addEventListener("click", () => chat.exit());
$("retry").addEventListener("click", () => chat.connection.retry());
$("latest").addEventListener("click", () => {
  timelines.get(chat.active?.id)?.toEnd();
  composer.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) chat.read();
});
addEventListener("keydown", (event) => {
  if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    step(event.key === "ArrowDown" ? 1 : -1);
  }
});

answerOthers(() => chat.entrance.token);
if (await takenElsewhere(loadSession().token)) clearSession();
if (chat.resume()) showChat();
else comeIn("", loadPreferences().nick);
