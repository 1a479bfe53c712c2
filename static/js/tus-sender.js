// Sends files to an open import by the protocol tus: a few at once, in pieces, going on by itself
// where a connection broke.

/* global tus */

const PARALLEL = 4;
const PIECE_BYTES = 8 * 1024 * 1024;
// Between tries, in milliseconds: soon at first, then patiently for some hours.
const PAUSES = [300, 1000, 2000, ...Array(5000).fill(4000)];
const RATE_MS = 8000;
// Ten characters each in the browser's memory, which holds some millions.
const MOST_REMEMBERED = 300_000;

/** A short name of a path, size and date: the same file has the same name after a reload. */
function nameOf({ file, path }) {
  let first = 0xdeadbeef;
  let second = 0x41c6ce57;
  const text = `${path}|${file.size}|${file.lastModified}`;
  for (let place = 0; place < text.length; place += 1) {
    const code = text.charCodeAt(place);
    first = Math.imul(first ^ code, 2654435761);
    second = Math.imul(second ^ code, 1597334677);
  }
  first = Math.imul(first ^ (first >>> 16), 2246822507) ^ Math.imul(second ^ (second >>> 13), 3266489909);
  second = Math.imul(second ^ (second >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909);
  return (4294967296 * (2097151 & second) + (first >>> 0)).toString(36);
}

/** What has been sent to one import, remembered across reloads. */
class Memory {
  constructor(job) {
    this.key = `sent:${job}`;
    this.names = new Set();
    this.timer = 0;
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) ?? "{}");
      this.files = kept.files ?? 0;
      for (const name of (kept.names ?? "").split(" ")) if (name) this.names.add(name);
    } catch {
      this.files = 0; // nothing is remembered: the server will say what it has
    }
  }

  add(name) {
    if (this.names.size < MOST_REMEMBERED) this.names.add(name);
    this.timer ||= setTimeout(() => this.write(), 1000);
  }

  write() {
    clearTimeout(this.timer);
    this.timer = 0;
    try {
      localStorage.setItem(this.key, JSON.stringify({ files: this.files, names: [...this.names].join(" ") }));
    } catch {
      // Full or switched off: the server tells what it has, file by file.
    }
  }

  forget() {
    clearTimeout(this.timer);
    this.timer = 0;
    try {
      localStorage.removeItem(this.key);
    } catch {
      // Nothing was kept.
    }
  }
}

/** How many files of this import had been given before this page was loaded, and how many sent. */
export function remembered(job) {
  const memory = new Memory(job);
  return { files: memory.files, sent: memory.names.size };
}

export class Sender extends EventTarget {
  /**
   * @param {{job: string, endpoint: string, token: string}} to
   */
  constructor({ job, endpoint, token }) {
    super();
    Object.assign(this, { job, endpoint, token });
    this.memory = new Memory(job);
    this.queue = [];
    this.next = 0; // place in the queue
    this.active = new Map(); // upload -> bytes sent of it
    this.known = new Set();
    this.files = 0;
    this.bytes = 0;
    this.sentFiles = 0;
    this.sentBytes = 0; // of files that are sent
    this.skipped = 0; // sent before the page was loaded
    this.refused = []; // {path, reason}
    this.isPaused = false;
    this.isBroken = false;
    this.stopped = ""; // why nothing goes on
    this.samples = [];
    this.onOnline = () => this.again();
    window.addEventListener("online", this.onOnline);
  }

  /** Add files; those that are in the queue already, or were sent before, are not sent again. */
  add(found) {
    for (const one of found) {
      const name = nameOf(one);
      if (this.known.has(name)) continue;
      this.known.add(name);
      this.files += 1;
      if (this.memory.names.has(name)) {
        this.skipped += 1;
        this.sentFiles += 1;
      } else {
        this.queue.push({ ...one, name });
        this.bytes += one.file.size;
      }
    }
    this.memory.files = Math.max(this.memory.files, this.files);
    this.fill();
  }

  get left() {
    return this.queue.length - this.next + this.active.size;
  }

  get isSending() {
    return this.left > 0 && !this.stopped;
  }

  get sent() {
    let bytes = this.sentBytes;
    for (const part of this.active.values()) bytes += part;
    return bytes;
  }

  /** Bytes a second over the last seconds; 0 while there is nothing to tell. */
  get rate() {
    const now = performance.now();
    const sent = this.sent;
    if (!this.samples.length || now - this.samples.at(-1).now > 250) this.samples.push({ now, sent });
    while (this.samples.length > 2 && now - this.samples[0].now > RATE_MS) this.samples.shift();
    const { now: then, sent: before } = this.samples[0];
    return now - then > 500 ? Math.max(0, (1000 * (sent - before)) / (now - then)) : 0;
  }

  pause() {
    this.isPaused = true;
    for (const upload of this.active.keys()) upload.abort();
    this.tell();
  }

  resume() {
    this.isPaused = false;
    this.samples = [];
    this.again();
  }

  /** Nothing more is sent. */
  end() {
    this.stopped ||= "Sending was ended.";
    for (const upload of this.active.keys()) upload.abort();
    this.active.clear();
    this.queue = [];
    this.next = 0;
    this.memory.forget();
    window.removeEventListener("online", this.onOnline);
    this.tell();
  }

  /** Try at once what waits for its next try. */
  async again() {
    if (this.isPaused || this.stopped) return;
    for (const upload of [...this.active.keys()]) {
      await upload.abort();
      if (!this.isPaused && this.active.has(upload)) upload.start();
    }
    this.fill();
  }

  fill() {
    while (!this.isPaused && !this.stopped && this.active.size < PARALLEL && this.next < this.queue.length) {
      this.start(this.queue[this.next]);
      this.queue[this.next] = null; // a file that is sent need not be held
      this.next += 1;
    }
    this.tell();
  }

  start(one) {
    const upload = new tus.Upload(one.file, {
      endpoint: this.endpoint,
      chunkSize: PIECE_BYTES,
      uploadDataDuringCreation: true,
      // The server knows a file by its key: nothing need be remembered but what is done.
      storeFingerprintForResuming: false,
      retryDelays: PAUSES,
      headers: { "X-CSRFToken": this.token },
      metadata: { job: this.job, filename: one.path, key: one.name },
      onShouldRetry: (error) => this.isWorthATry(error),
      onProgress: (sent) => {
        if (!this.active.has(upload)) return;
        if (sent > this.active.get(upload)) this.isBroken = false;
        this.active.set(upload, sent);
        this.tell();
      },
      onSuccess: () => this.finish(upload, one),
      onError: (error) => this.fail(upload, one, error),
    });
    this.active.set(upload, 0);
    upload.start();
  }

  isWorthATry(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    if (status === 409) return problemOf(error)?.code === "offset_conflict";
    const worth = status === 0 || status === 408 || status === 423 || status === 429 || (status >= 500 && status !== 507)
      || problemOf(error)?.code === "body_incomplete";
    if (worth) {
      this.isBroken = true;
      this.tell();
    }
    return worth;
  }

  finish(upload, one) {
    if (!this.active.delete(upload)) return;
    this.isBroken = false;
    this.sentFiles += 1;
    this.sentBytes += one.file.size;
    this.memory.add(one.name);
    this.fill();
    this.endIfDone();
  }

  fail(upload, one, error) {
    if (!this.active.delete(upload)) return;
    const status = error.originalResponse?.getStatus() ?? 0;
    const problem = problemOf(error);
    const reason = problem?.detail ?? (status ? `The server refused this (${status}).` : "This file cannot be read any more.");
    if (problem?.code === "wrong_job_state" || problem?.code === "storage_full" || status === 401 || status === 403 || status === 404) {
      // It is not about this file: the next one would fare no better.
      this.stopped = status === 401 || status === 403 ? `${reason} Sign in again, then give the same files.` : reason;
      for (const other of this.active.keys()) other.abort();
      this.active.clear();
      this.memory.write();
      this.tell();
      return;
    }
    this.refused.push({ path: one.path, reason });
    this.bytes -= one.file.size;
    this.fill();
    this.endIfDone();
  }

  endIfDone() {
    if (this.left || this.stopped) return;
    this.memory.write();
    this.dispatchEvent(new Event("done"));
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }
}

function problemOf(error) {
  try {
    return JSON.parse(error.originalResponse.getBody());
  } catch {
    return null;
  }
}
