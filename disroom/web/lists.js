// The lists at the sides: conversations with what is new in them, and the members of a room.

import { avatar, count, element, same } from "./text.js";

// Draw conversations into a list, without taking the focus from the one that has it.
export function drawConversations(list, conversations, active, select) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...conversations.map((conversation) => {
    const item = element("li");
    const button = element("button", "entry");
    button.type = "button";
    button.dataset.id = conversation.id;
    button.append(conversation.isRoom ? mark("#") : avatar(conversation.name), element("span", "name", conversation.name));
    if (conversation === active) button.setAttribute("aria-current", "page");
    if (conversation.unread) {
      const badge = element("span", conversation.mentioned ? "badge mentioned" : "badge", short(conversation.unread));
      badge.append(element("span", "hidden", " unread"));
      button.append(badge);
      button.classList.add("unread");
    }
    button.addEventListener("click", () => select(conversation));
    item.append(button);
    return item;
  }));
  if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

export const short = (unread) => (unread > 99 ? "99+" : String(unread));

function mark(character) {
  const made = element("span", "mark", character);
  made.setAttribute("aria-hidden", "true");
  return made;
}

// Draw a room's members, or the person of a private conversation.
export function drawMembers(list, title, conversation, { nick, away, talkTo }) {
  const members = [...conversation.members.values()]
    .sort((one, other) => Number(one.away ?? false) - Number(other.away ?? false) ||
      one.nick.localeCompare(other.nick, undefined, { sensitivity: "base" }));
  const total = Math.max(conversation.total, members.length);
  title.textContent = `${count(total, "member", "members")}`;
  const items = members.map((member) => {
    const item = element("li");
    const own = same(member.nick, nick);
    const button = element("button", "entry");
    button.type = "button";
    button.append(avatar(member.nick), element("span", "name", member.nick));
    if (own) button.append(element("span", "tag", "you"));
    if (member.away || (own && away !== null)) {
      button.classList.add("gone");
      button.append(element("span", "tag", "away"));
    }
    button.disabled = own;
    if (!own) button.title = `Write to ${member.nick} privately`;
    button.addEventListener("click", () => talkTo(member.nick));
    item.append(button);
    return item;
  });
  if (total > members.length) items.push(element("li", "rest", `and ${count(total - members.length, "other", "others")}`));
  list.replaceChildren(...items);
}
