// Adding many pictures: requests one after another, and two bars that tell the truth.

import { acceptDrops } from "./dropping.js";

const MOST_FILES = 20;
const MOST_BYTES = 40e6;
const POLL_MS = 700;
const MOST_POLL_MS = 5000;

const form = document.querySelector("form[data-upload]");

function start() {
  const picker = form.querySelector("[data-picker]");
  picker.addEventListener("change", () => {
    panel.add([...picker.files]);
    picker.value = "";
  });
  const panel = new Panel(document.querySelector("[data-upload-state]"));
  acceptDrops("Drop to add", (transfer) => {
    if (transfer.files.length) panel.add([...transfer.files]);
    else panel.say("There is no file in what you dropped.");
  });
  window.addEventListener("beforeunload", (event) => {
    if (panel.isSending) event.preventDefault();
  });
}

function megabytes(bytes) {
  return (bytes / 1e6).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/** Split files into requests that stay within the limits; a larger file goes alone. */
function batches(files) {
  const most = Math.min(MOST_FILES, Number(form.dataset.most));
  const made = [];
  let bytes = Infinity;
  for (const file of files) {
    if (bytes + file.size > MOST_BYTES || made.at(-1).length >= most) {
      made.push([]);
      bytes = 0;
    }
    made.at(-1).push(file);
    bytes += file.size;
  }
  return made;
}

class Refused extends Error {}

/** POST one batch; resolves to the parsed answer. `onSent(bytes)` tells how much has left. */
function post(files, onSent) {
  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.dataset.api);
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => onSent(event.loaded));
    request.addEventListener("load", () => {
      if (request.status === 202) resolve(request.response);
      else reject(new Refused(request.response?.detail ?? `The server refused this (${request.status}).`));
    });
    request.addEventListener("error", () => reject(new Error("The connection broke before this was sent.")));
    request.addEventListener("abort", () => reject(new Error("Sending was stopped.")));
    request.send(body);
  });
}

class Panel {
  constructor(root) {
    this.root = root;
    this.queue = [];
    this.isSending = false;
    this.isPolling = false;
    this.clear();
    this.find("upload-again").addEventListener("click", () => {
      const unsent = this.unsent;
      this.unsent = [];
      this.forget(unsent);
      this.add(unsent);
    });
  }

  find(name) {
    return this.root.querySelector(`[data-${name}]`);
  }

  say(sentence) {
    this.root.hidden = false;
    this.find("upload-said").textContent = sentence;
  }

  /** Begin from nothing: what was added before is done with. */
  clear() {
    this.files = 0;
    this.bytes = 0; // to be sent
    this.sent = 0; // of requests that have ended
    this.failed = 0; // refused before the server had a row for them
    this.jobs = new Map(); // id -> what the server last said of it; empty before
    this.unsent = [];
    this.failures = new Map(); // file, or job and place -> list entry
  }

  add(files) {
    if (!files.length) return;
    if (!this.isSending && !this.isPolling && !this.unsent.length) {
      this.clear();
      this.find("upload-failures").querySelector("ul").replaceChildren();
      this.find("upload-failures").hidden = true;
    }
    this.root.hidden = false;
    this.find("upload-end").hidden = true;
    const largest = Number(form.dataset.largest);
    this.files += files.length;
    const good = [];
    for (const file of files) {
      if (file.size > largest) {
        this.fail(file.name, `This file has ${megabytes(file.size)} MB; at most ${largest / 1e6} MB are accepted.`, file);
        this.failed += 1;
      } else {
        good.push(file);
        this.bytes += file.size;
      }
    }
    this.queue.push(...batches(good));
    this.say(`Adding ${this.files} ${this.files === 1 ? "picture" : "pictures"}…`);
    this.show(0);
    if (!this.isSending) this.send();
  }

  async send() {
    this.isSending = true;
    while (this.queue.length) {
      const batch = this.queue.shift();
      const size = batch.reduce((sum, file) => sum + file.size, 0);
      try {
        // The form's own framing is sent too: it is not counted as pictures.
        const answer = await post(batch, (loaded) => this.show(Math.min(loaded, size)));
        this.jobs.set(answer.job, {});
        this.note(answer.job, answer.items);
      } catch (error) {
        for (const file of batch) this.fail(file.name, error.message, file);
        this.failed += batch.length;
        if (!(error instanceof Refused)) this.unsent.push(...batch);
      }
      this.sent += size;
      this.show(0);
      this.poll();
    }
    this.isSending = false;
    this.finish();
  }

  /** List the files of a job that have failed so far, each once. */
  note(job, items) {
    for (const [place, item] of items.entries()) {
      if (item.error) this.fail(item.name, item.error.detail, `${job}/${place}`);
    }
  }

  fail(name, reason, key) {
    if (this.failures.has(key)) return;
    const entry = document.createElement("li");
    const title = document.createElement("b");
    const why = document.createElement("span");
    title.textContent = name;
    why.textContent = reason;
    entry.append(title, why);
    this.failures.set(key, entry);
    this.find("upload-failures").hidden = false;
    this.find("upload-failures").querySelector("ul").append(entry);
  }

  /** Files that are sent once more are not failures any longer. */
  forget(files) {
    for (const file of files) {
      this.failures.get(file)?.remove();
      this.failures.delete(file);
      this.files -= 1;
      this.failed -= 1;
      this.bytes -= file.size;
      this.sent -= file.size;
    }
    if (!this.failures.size) this.find("upload-failures").hidden = true;
  }

  counts() {
    let ready = 0;
    let failed = this.failed;
    for (const job of this.jobs.values()) {
      ready += job.ready ?? 0;
      failed += (job.rejected ?? 0) + (job.failed ?? 0);
    }
    return { ready, failed, settled: ready + failed };
  }

  show(loaded) {
    const sent = this.sent + loaded;
    const { ready, settled } = this.counts();
    const sentBar = this.find("sent");
    sentBar.max = this.bytes || 1;
    sentBar.value = this.bytes ? sent : 1;
    this.find("sent-text").textContent = `${megabytes(sent)} of ${megabytes(this.bytes)} MB`;
    const doneBar = this.find("done");
    doneBar.max = this.files || 1;
    doneBar.value = settled;
    this.find("done-text").textContent = `${ready} of ${this.files}`;
  }

  async poll() {
    if (this.isPolling) return;
    this.isPolling = true;
    let pause = POLL_MS;
    for (;;) {
      const running = [...this.jobs].filter(([, job]) => !String(job.state ?? "").startsWith("finished"));
      if (!running.length) break;
      await new Promise((resolve) => setTimeout(resolve, pause));
      const before = this.counts().settled;
      for (const [id] of running) {
        try {
          const response = await fetch(`${form.dataset.jobs}${id}/`, { headers: { Accept: "application/json" } });
          if (!response.ok) continue;
          const job = await response.json();
          this.jobs.set(id, job);
          this.note(id, job.items);
        } catch {
          // The server is away for a moment: what it has, it keeps.
        }
      }
      this.show(0);
      pause = this.counts().settled > before ? POLL_MS : Math.min(pause * 1.4, MOST_POLL_MS);
    }
    this.isPolling = false;
    this.finish();
  }

  finish() {
    if (this.isSending || this.isPolling) return;
    const { ready, failed } = this.counts();
    const words = [`${ready} ${ready === 1 ? "picture is" : "pictures are"} ready`];
    if (failed) words.push(`${failed} could not be added`);
    this.say(`${words.join(", ")}.`);
    this.find("upload-end").hidden = false;
    this.find("upload-again").hidden = !this.unsent.length;
  }
}

if (form) start();
