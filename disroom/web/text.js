// Text for people: links that are safe, times, and the colour of a name.

// Of "http(s)://..." to the next space, without the punctuation that ends a sentence.
const LINK = /\bhttps?:\/\/[^\s<>"']+/gi;
const TRAILING = /[.,;:!?)\]}…]+$/;

// Append text to a node, with its links made clickable. What others wrote goes into text nodes alone.
export function appendText(node, text) {
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const link = linked(withoutTrailing(match[0]));
    if (!link) continue;
    node.append(text.slice(from, match.index), link);
    from = match.index + link.textContent.length;
  }
  node.append(text.slice(from));
  return node;
}

function withoutTrailing(link) {
  const trimmed = link.replace(TRAILING, "");
  // a closing bracket that was opened inside belongs to the link
  const opened = (trimmed.match(/\(/g) ?? []).length - (trimmed.match(/\)/g) ?? []).length;
  return opened > 0 && link[trimmed.length] === ")" ? `${trimmed})` : trimmed;
}

function linked(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if ((url.protocol !== "http:" && url.protocol !== "https:") || url.username || url.password) return null;
  const link = element("a", "", address);
  link.href = url.href;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const YEAR = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const time = (at) => TIME.format(at);
export const moment = (at) => MOMENT.format(at);

// The calendar day of a time, here.
export const dayOf = (at) => new Date(at).toDateString();

export function day(at) {
  if (dayOf(at) === dayOf(Date.now())) return "Today";
  if (dayOf(at) === dayOf(Date.now() - 86_400_000)) return "Yesterday";
  return (new Date(at).getFullYear() === new Date().getFullYear() ? DAY : YEAR).format(at);
}

export function timeElement(at) {
  const made = element("time", "", time(at));
  made.dateTime = new Date(at).toISOString();
  made.title = moment(at);
  return made;
}

const HUES = 12;

// The class that gives a name its colour: the same one for everybody, always.
export function hue(nick) {
  let sum = 7;
  for (const character of nick.toLowerCase()) sum = (sum * 31 + character.codePointAt(0)) % 65_521;
  return `hue-${sum % HUES}`;
}

const LETTERS = new Intl.Segmenter(undefined, { granularity: "grapheme" });

export function initial(nick) {
  const [first] = LETTERS.segment(nick);
  return (first?.segment ?? "?").toUpperCase();
}

export function avatar(nick) {
  const made = element("span", `avatar ${hue(nick)}`, initial(nick));
  made.setAttribute("aria-hidden", "true");
  return made;
}

export const count = (number, one, many) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

// Names are compared without regard to case.
export const same = (one, other) => keyOf(one) === keyOf(other);
export const keyOf = (name) => name.normalize("NFC").toLowerCase();

const WORD = "[\\p{L}\\p{N}\\p{M}_.-]";

// Whether a text has a name as a word of its own.
export function mentions(text, nick) {
  if (!nick) return false;
  const escaped = nick.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<!${WORD})${escaped}(?!${WORD}*[\\p{L}\\p{N}_])`, "iu").test(text);
}
