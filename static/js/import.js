// The drop zone: what is given becomes an import, its sending and its progress are told.

import { acceptDrops } from "./drop-target.js";
import { Sender, remembered } from "./tus-sender.js";
import { filesOfDrop, filesOfInput } from "./dropped-files.js";

const zone = document.querySelector("[data-import]");
// What has been asked of the server by then and has no answer may never have reached it.
const ANSWER_MS = 5000;

function find(name) {
  return zone.querySelector(`[data-${name}]`);
}

function megabytes(bytes) {
  const unit = bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(bytes / unit[1]).toLocaleString("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 })} ${unit[0]}`;
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** The client of the protocol is loaded when there is something to send. */
function loadClient() {
  return new Promise((resolve, reject) => {
    if (window.tus) {
      resolve();
      return;
    }
    const script = document.createElement("script");
    script.src = zone.dataset.client;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => {
      script.remove();
      reject(new Error("script"));
    });
    document.head.append(script);
  });
}

function duration(seconds) {
  if (seconds < 60) return count(Math.max(1, Math.round(seconds)), "second", "seconds");
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return count(minutes, "minute", "minutes");
  return `${count(Math.floor(minutes / 60), "hour", "hours")} ${count(minutes % 60, "minute", "minutes")}`;
}

class Panel {
  constructor() {
    this.form = zone.querySelector("form");
    this.token = this.form.elements.csrfmiddlewaretoken.value;
    this.sender = null;
    this.opening = null; // the promise of a job
    this.isWalking = 0;
    this.willClose = false;
    this.frame = 0;
    this.listed = 0; // of those that were refused
    this.actedAt = 0; // when a button was pressed that the server has not answered yet
    this.unfinished = zone.dataset.unfinished;
    if (this.unfinished) this.showUnfinished();
    zone.addEventListener("submit", (event) => this.act(event));
    document.body.addEventListener("htmx:afterSwap", () => {
      this.follow();
      this.showEnd();
    });
    document.body.addEventListener("htmx:afterRequest", (event) => {
      if (event.detail.requestConfig?.verb !== "post") return;
      this.actedAt = 0;
      this.follow();
      this.showEnd();
    });
    window.addEventListener("beforeunload", (event) => {
      this.sender?.memory.write();
      if (this.sender?.isSending) event.preventDefault();
    });
  }

  say(sentence) {
    find("panel").hidden = false;
    find("upload-said").classList.remove("unseen");
    if (find("upload-said").textContent !== sentence) find("upload-said").textContent = sentence;
  }

  /** Files were being sent to an import when the page was left. */
  showUnfinished() {
    const { files, sent } = remembered(this.unfinished);
    const how = files ? ` ${count(sent, "file", "files")} of ${files.toLocaleString("en")} had been sent.` : "";
    this.say(`An import was left before all was sent.${how} Give the same files again and it goes on where it was.`);
    this.showProgress(this.unfinished);
  }

  /** Take lists of files as they are found. */
  async take(lists) {
    let number = 0;
    this.isWalking += 1;
    this.willClose = false;
    try {
      for await (const found of lists) {
        if (!found.length) continue;
        number += found.length;
        const sender = await this.open(found);
        if (!sender) return;
        sender.add(found);
      }
      if (!number) this.say("There is no file in what you gave.");
    } catch (error) {
      this.say(`The folder could not be read to its end: ${error.message}`);
    } finally {
      this.isWalking -= 1;
      this.finish();
    }
  }

  /** The sender of the import that is open; a new import where there is none. */
  async open(found) {
    if (this.sender && !this.sender.stopped && !this.willClose) return this.sender;
    this.opening ??= this.begin(found);
    try {
      return await this.opening;
    } finally {
      this.opening = null;
    }
  }

  async begin(found) {
    try {
      await loadClient();
    } catch {
      this.say("The server cannot be reached. Nothing was sent; try again.");
      return null;
    }
    let job = this.unfinished;
    this.unfinished = "";
    if (!job) {
      const body = new FormData(this.form);
      body.delete("file");
      const folder = found[0].path.includes("/") ? found[0].path.split("/")[0] : "";
      body.set("name", folder || (found.length === 1 ? found[0].path : `${found.length.toLocaleString("en")} files`));
      let answer;
      try {
        const response = await fetch(this.form.action, { method: "POST", body, headers: { Accept: "application/json" } });
        answer = await response.json();
      } catch {
        answer = { detail: "The server cannot be reached. Nothing was sent; try again." };
      }
      if (!answer.job) {
        this.say(answer.detail);
        return null;
      }
      job = answer.job;
    }
    this.listed = 0;
    find("refused").hidden = true;
    find("refused").querySelector("ul").replaceChildren();
    find("upload-end").hidden = true;
    this.sender = new Sender({ job, endpoint: zone.dataset.uploads, token: this.token });
    this.sender.addEventListener("change", () => { this.frame ||= requestAnimationFrame(() => this.show()); });
    this.sender.addEventListener("done", () => this.finish());
    find("panel").hidden = false;
    find("sending").hidden = false;
    zone.querySelector("details")?.removeAttribute("open");
    this.showProgress(job);
    return this.sender;
  }

  /** The server's own word about the import, which renews itself. */
  showProgress(job) {
    find("panel").hidden = false;
    find("upload-end").querySelector("[data-ledger]").href = `/jobs/${job}/`;
    window.htmx.ajax("GET", `/jobs/${job}/`, { target: find("progress-of-job"), swap: "innerHTML" });
  }

  show() {
    this.frame = 0;
    const { sender } = this;
    const bar = find("sent");
    bar.max = sender.bytes || 1;
    bar.value = sender.bytes ? sender.sent : 1;
    const parts = [`${sender.sentFiles.toLocaleString("en")} of ${count(sender.files, "file", "files")}`,
      `${megabytes(sender.sent)} of ${megabytes(sender.bytes)}`];
    const { rate } = sender;
    if (sender.isSending && !sender.isPaused && rate) {
      parts.push(`${megabytes(rate)}/s`);
      if (!sender.isBroken) parts.push(`about ${duration((sender.bytes - sender.sent) / rate)} left`);
    }
    find("sent-text").textContent = parts.join(" · ");
    for (const { path, reason } of sender.refused.slice(this.listed)) {
      const entry = document.createElement("li");
      const title = document.createElement("b");
      const why = document.createElement("span");
      title.textContent = path;
      why.textContent = reason;
      entry.append(title, why);
      find("refused").hidden = false;
      find("refused").querySelector("ul").append(entry);
    }
    this.listed = sender.refused.length;
    if (sender.stopped) this.say(sender.stopped);
    else if (sender.isPaused) this.say("Sending is paused.");
    else if (sender.isBroken) this.say("The connection is lost. Sending goes on where it was, as soon as the server answers again.");
    else if (sender.isSending) this.say(sender.skipped ? `Sending goes on: ${count(sender.skipped, "file was", "files were")} there already.` : "Sending…");
    else if (!zone.querySelector("[data-over]")) this.say("All is sent. The pictures are being made searchable.");
  }

  /** When all is sent, the import is told that no more will come. */
  async finish() {
    const { sender } = this;
    if (!sender || sender.stopped || this.isWalking || sender.left || this.willClose) return;
    this.willClose = true;
    const job = sender.job;
    for (let pause = 500; ; pause = Math.min(2 * pause, 8000)) {
      try {
        const response = await fetch(`${document.documentElement.dataset.home}jobs/${job}/close/`, {
          method: "POST",
          headers: { "X-CSRFToken": this.token, "HX-Request": "true" },
        });
        if (response.status < 500) break;
      } catch {
        // The connection is away for a moment.
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    sender.memory.forget();
    this.show();
  }

  /** The buttons of the progress are about sending, too. */
  act(event) {
    const action = event.target.dataset?.act;
    if (!action || !this.sender) return;
    this.actedAt = Date.now();
    if (action === "pause") this.sender.pause();
    else if (action === "resume") this.sender.resume();
    else if (action === "cancel" || action === "close") this.sender.end();
  }

  /** Sending does what the import does: somebody may have paused it on another page, and what a
   * button asked for may not have reached the server. */
  follow() {
    const { sender } = this;
    const shown = find("progress-of-job").querySelector("[data-state]");
    if (!sender?.isSending || shown?.dataset.job !== sender.job) return;
    if (Date.now() - this.actedAt < ANSWER_MS) return;
    if ("over" in shown.dataset) sender.end();
    else if (shown.dataset.state === "paused" && !sender.isPaused) sender.pause();
    else if (shown.dataset.state !== "paused" && sender.isPaused) sender.resume();
  }

  /** The import is over: say how it went. */
  showEnd() {
    const over = find("progress-of-job").querySelector("[data-over]");
    if (!over || this.sender?.isSending) return;
    if (this.unfinished === over.dataset.job) this.unfinished = "";
    this.say(over.dataset.said);
    find("upload-said").classList.add("unseen"); // it stands below; this is for those who listen
    find("sending").hidden = true;
    find("upload-end").hidden = false;
  }
}

function start() {
  const panel = new Panel();
  for (const input of zone.querySelectorAll("input[data-picker]")) {
    input.addEventListener("change", () => {
      const found = filesOfInput(input);
      input.value = "";
      panel.take([found]);
    });
  }
  acceptDrops("Drop to add", (transfer) => panel.take(filesOfDrop(transfer)));
}

if (zone) start();
