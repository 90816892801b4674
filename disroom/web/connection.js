// The socket: requests and their answers, what the server says besides, and coming back when it is lost.

const FIRST_DELAY = 300;
const LONGEST_DELAY = 15_000;
const QUIET = 25_000; // after so much silence the server is asked whether it is there
const ANSWER_WITHIN = 10_000;
const DISMISSED_DELAY = 1_000; // at the least, after a goodbye; doubled by each that follows
const DISMISSED_FOR = 60_000; // after so long a goodbye is the first again
const MOST_BYTES = 65_536; // of a request

// Goodbyes to a request that the server does not read.
const UNREADABLE = new Set(["frame-too-long", "bad-frame", "bad-request"]);

// The server refused a request; the code is one of those in docs/protocol.md.
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

// The connection was lost before the answer came: whether it was carried out is not known.
export class Disconnected extends Error {}

// `greet` opens a session on a new socket, by the function for requests that it is given, and is
// awaited before the state is "online", until when there are no other requests. `told` is given every
// message that is no answer, and `answered` called for each that is one; `changed` each state:
// "connecting", "online", "waiting" (with the time of the next attempt) and "stopped".
export class Connection {
  #socket = null;
  #asked = new Map();
  #lastId = 0;
  #attempts = 0;
  #retry = 0;
  #watch = 0;
  #heard = 0;
  #askedAt = 0; // when it was asked whether the server is there, until something comes
  #dismissed = false; // by a goodbye on this socket
  #dismissals = 0; // of late
  #dismissedAt = 0;

  constructor({ url, greet, told, answered, changed }) {
    this.url = url;
    this.greet = greet;
    this.told = told;
    this.answered = answered;
    this.changed = changed;
    this.state = "stopped";
    const back = () => {
      if (document.hidden) return;
      this.retry();
      this.#look();
    };
    addEventListener("online", back);
    document.addEventListener("visibilitychange", back);
  }

  start() {
    if (this.state === "stopped") this.#open();
  }

  // Connect no more, until `start`.
  stop() {
    this.#enter("stopped");
    this.#drop();
  }

  // Try now instead of after the delay.
  retry() {
    if (this.state === "waiting") this.#open();
  }

  // Give this socket up and open another, soon.
  renew() {
    this.#attempts = 0;
    this.#drop();
    if (this.state !== "stopped") this.#wait();
  }

  request(op, fields = {}) {
    if (this.state !== "online") return Promise.reject(new Disconnected());
    return this.#ask(op, fields);
  }

  #ask(op, fields = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Disconnected());
    const id = (this.#lastId += 1);
    const message = JSON.stringify({ op, id, ...fields });
    if (byteLength(message) > MOST_BYTES) {
      return Promise.reject(new Refused("frame-too-long", `a request has at most ${MOST_BYTES} bytes; send it in parts`));
    }
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#socket.send(message);
    });
  }

  #open() {
    clearTimeout(this.#retry);
    this.#enter("connecting");
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#heard = Date.now();
    this.#askedAt = 0;
    this.#dismissed = false;
    socket.onopen = () => this.#greet(socket);
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(JSON.parse(data));
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#lost();
    };
    clearInterval(this.#watch);
    this.#watch = setInterval(() => this.#look(), 1_000);
  }

  async #greet(socket) {
    try {
      await this.greet((op, fields) => (socket === this.#socket ? this.#ask(op, fields) : Promise.reject(new Disconnected())));
    } catch (error) {
      if (socket === this.#socket) this.#lost();
      if (!(error instanceof Disconnected || error instanceof Refused)) throw error;
      return;
    }
    if (socket !== this.#socket) return;
    this.#attempts = 0;
    this.#enter("online");
  }

  #receive(message) {
    this.#heard = Date.now();
    this.#askedAt = 0;
    const asked = this.#asked.get(message.id);
    if (asked) this.answered();
    if (message.type === "ok" && asked) {
      this.#asked.delete(message.id);
      asked.resolve(message);
    } else if (message.type === "error" && asked) {
      this.#asked.delete(message.id);
      asked.reject(new Refused(message.code, message.message));
    } else {
      if (message.type === "goodbye") this.#dismiss(message);
      this.told(message);
    }
  }

  // Sent again, what the server does not read would end the next connection too.
  #dismiss({ code, message }) {
    const now = Date.now();
    this.#dismissals = now - this.#dismissedAt > DISMISSED_FOR ? 1 : this.#dismissals + 1;
    this.#dismissedAt = now;
    this.#dismissed = true;
    if (!UNREADABLE.has(code) || !this.#asked.size) return;
    const [id, { reject }] = [...this.#asked].at(-1);
    this.#asked.delete(id);
    reject(new Refused(code, message));
  }

  // A host that vanished closes nothing: ask, and take it for a loss if no answer comes. Silence alone
  // is none: in a tab that is hidden this may be called once in a minute, or after a night's sleep.
  #look() {
    const now = Date.now();
    if (this.state === "connecting") {
      if (now - this.#heard > ANSWER_WITHIN) this.#lost();
    } else if (this.state === "online" && this.#askedAt) {
      if (now - this.#askedAt > ANSWER_WITHIN) this.#lost();
    } else if (this.state === "online" && now - this.#heard > QUIET) {
      this.#askedAt = now;
      this.request("ping").catch(() => {});
    }
  }

  #lost() {
    this.#drop();
    if (this.state !== "stopped") this.#wait();
  }

  #drop() {
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { reject } of asked) reject(new Disconnected());
  }

  // Full jitter: all who lost one server must not come to the next in the same moment. Whoever was sent
  // away does not come back at once, nor ever faster, though each connection in between was good.
  #wait() {
    const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts);
    const least = this.#dismissed
      ? Math.min(LONGEST_DELAY, DISMISSED_DELAY * 2 ** (this.#dismissals - 1))
      : FIRST_DELAY / 3;
    const delay = Math.round(least + Math.random() * most);
    this.#attempts += 1;
    this.#retry = setTimeout(() => this.#open(), delay);
    this.#enter("waiting", Date.now() + delay);
  }

  #enter(state, until = 0) {
    this.state = state;
    this.changed(state, until);
  }
}

const byteLength = (text) => new TextEncoder().encode(text).length;
