// The rooms with people, to choose one from.

import { inWords } from "./composer.js";
import { count, element } from "./text.js";

// Returns the function that opens the dialog.
export function roomBrowser(chat, dialog, join) {
  const list = dialog.querySelector("ul");
  const rest = dialog.querySelector("p");
  dialog.querySelector("header button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  function item({ room, members, topic }) {
    const made = element("li");
    const button = element("button", "entry");
    button.type = "button";
    const line = element("span", "name", `#${room}`);
    button.append(line, element("span", "tag", count(members, "member", "members")));
    if (topic) button.append(element("span", "about", topic.text));
    button.addEventListener("click", () => {
      dialog.close();
      join(room);
    });
    made.append(button);
    return made;
  }

  return async () => {
    list.replaceChildren();
    rest.textContent = "Asking…";
    dialog.showModal();
    try {
      const { rooms, total } = await chat.connection.request("rooms");
      list.replaceChildren(...rooms.map(item));
      rest.textContent = total > rooms.length ? `and ${count(total - rooms.length, "other", "others")}` : "";
      if (!rooms.length) rest.textContent = "Nobody is in any room.";
      list.querySelector("button")?.focus();
    } catch (error) {
      rest.textContent = inWords(error);
    }
  };
}
