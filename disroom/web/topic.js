// The topic of a room: shown, and set by a click on it.

import { inWords } from "./composer.js";

// Returns the function that shows a conversation's topic.
export function topicEditor(chat, { button, shown, form, input, cancel }) {
  let conversation = null;

  function edit(on) {
    form.hidden = !on;
    button.hidden = on || !conversation?.isRoom;
    if (on) {
      input.value = conversation.topic?.text ?? "";
      input.focus();
      input.select();
    }
  }
  button.addEventListener("click", () => edit(true));
  cancel.addEventListener("click", () => {
    edit(false);
    button.focus();
  });
  form.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") cancel.click();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    const room = conversation;
    edit(false);
    button.focus();
    if (!text || text === room.topic?.text) return;
    try {
      await chat.post(room, "topic", text);
    } catch (error) {
      chat.tell(room, [inWords(error)]);
    }
  });

  return (next) => {
    const changed = next !== conversation;
    conversation = next;
    if (changed || form.hidden) edit(false);
    const topic = next?.topic;
    shown.textContent = topic ? topic.text : "Set a topic";
    button.classList.toggle("none", !topic);
    button.title = topic ? `${topic.text} (set by ${topic.nick})` : "Set a topic";
  };
}
