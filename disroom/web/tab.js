// Whether another tab goes on as the session that this tab has kept: a duplicated tab has a copy of
// it, and two that resume one session would take it from each other for ever.

const ANSWER_WITHIN = 150;

export async function takenElsewhere(token) {
  if (!token || typeof BroadcastChannel === "undefined") return false;
  const channel = new BroadcastChannel("disroom.tabs");
  const taken = await new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      if (data.taken === token) resolve(true);
    };
    setTimeout(() => resolve(false), ANSWER_WITHIN);
    channel.postMessage({ asks: token });
  });
  channel.close();
  return taken;
}

// Answer other tabs that ask; `current` gives this tab's token, which changes.
export function answerOthers(current) {
  if (typeof BroadcastChannel === "undefined") return;
  const channel = new BroadcastChannel("disroom.tabs");
  channel.onmessage = ({ data }) => {
    if (data.asks && data.asks === current()) channel.postMessage({ taken: data.asks });
  };
}
