// The first page: a name, a room, and what was wrong with them.

import { Refused } from "./connection.js";

const FIRST_ROOM = "lobby";

// Returns the function that shows it, with a message if there is one.
export function welcome(chat, page, entered) {
  const form = page.querySelector("form");
  const { nick, room } = form.elements;
  const error = form.querySelector(".error");
  const submit = form.querySelector("[type=submit]");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    submit.disabled = true;
    submit.textContent = "Coming in…";
    try {
      await chat.enter(nick.value.trim(), room.value.trim().replace(/^#/, ""));
      entered();
    } catch (refusal) {
      if (!(refusal instanceof Refused)) throw refusal;
      show(refusal.message);
    } finally {
      submit.disabled = false;
      submit.textContent = "Come in";
    }
  });

  function show(message, known = nick.value) {
    nick.value = known ?? "";
    room.value ||= asked() || FIRST_ROOM;
    error.textContent = message;
    error.hidden = !message;
    page.hidden = false;
    nick.focus();
    nick.select();
  }
  return show;
}

// The room that a link to this page names, as in /#tea.
function asked() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}
