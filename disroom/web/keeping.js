// What the page keeps: in the tab, so that a reload goes on where it was; in the browser, preferences.

const TAB = "disroom.session";
const BROWSER = "disroom.preferences";

const EMPTY = { token: null, rooms: [], privates: [], unsent: [], ignored: [] };

export const loadSession = () => ({ ...EMPTY, ...read(() => sessionStorage, TAB) });
export const saveSession = (session) => write(() => sessionStorage, TAB, session);
export const clearSession = () => write(() => sessionStorage, TAB, {});
export const loadPreferences = () => read(() => localStorage, BROWSER);
export const savePreference = (key, value) =>
  write(() => localStorage, BROWSER, { ...loadPreferences(), [key]: value });

// Storage may be forbidden or full: the page works without, until it is reloaded.
function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(key) ?? "{}");
  } catch {
    return {};
  }
}

function write(storage, key, value) {
  try {
    storage().setItem(key, JSON.stringify(value));
  } catch (error) {
    console.warn("not kept", error);
  }
}
