// Tells those who listen to the page what is new: politely, and not more than they can hear.

const EVERY = 1_500;
const MOST = 3;

export class Announcer {
  #waiting = [];
  #timer = 0;

  constructor(region) {
    this.region = region;
  }

  say(line) {
    this.#waiting.push(line);
    this.#timer ||= setTimeout(() => this.#speak(), this.region.textContent ? EVERY : 50);
  }

  #speak() {
    this.#timer = 0;
    const lines = this.#waiting;
    this.#waiting = [];
    const rest = lines.length - MOST;
    this.region.textContent = rest > 0
      ? `${lines.slice(-MOST).join(". ")}. And ${rest} more before that.`
      : lines.join(". ");
  }
}
