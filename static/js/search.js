// The search form: whatever way a picture comes, it goes into the one ordinary form and is sent.

import { acceptDrops } from "./drop-target.js";

const form = document.querySelector("form[data-search]");
const picker = form.querySelector("input[name=picture]");
const address = form.querySelector("[name=address]");
const problem = form.querySelector("[data-problem]");
const main = document.querySelector("main");
const STILL_AFTER_MS = 4000;

const NONE_PASTED = "There is no picture on the clipboard, and no address of one.";

let preview = "";
let stillTimer = 0;

function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = false;
  problem.scrollIntoView({ block: "nearest" });
}

/** Show the layout that will come, with the picture that was given, until the results are here. */
function showWaiting() {
  if (main.querySelector("[data-skeleton]")) return;
  const waiting = document.getElementById("skeleton").content.cloneNode(true);
  const said = waiting.querySelector("[data-waiting]");
  const file = [...form.querySelectorAll("input[type=file]")].flatMap((input) => [...input.files])[0];
  const name = file ? file.name : address.value;
  waiting.querySelector("[data-preview-name]").textContent = name;
  if (file) {
    const picture = waiting.querySelector("[data-preview]");
    preview = URL.createObjectURL(file);
    // What the browser cannot show (HEIC, TIFF, no picture at all) leaves the ground empty.
    picture.addEventListener("load", () => { picture.hidden = false; });
    picture.src = preview;
  }
  for (const child of main.children) child.hidden = true;
  main.append(waiting);
  main.querySelector("[data-skeleton] h1").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  // Said after it is in the page, so that screen readers hear it.
  requestAnimationFrame(() => {
    said.textContent = file ? "Sending your picture and searching…" : "Fetching the picture and searching…";
  });
  stillTimer = setTimeout(() => { said.textContent = "Still searching…"; }, STILL_AFTER_MS);
}

function hideWaiting() {
  clearTimeout(stillTimer);
  const waiting = main.querySelector("[data-skeleton]");
  if (waiting) {
    waiting.remove();
    for (const child of main.children) child.hidden = child === problem;
  }
  if (preview) URL.revokeObjectURL(preview);
  preview = "";
}

function send() {
  problem.hidden = true;
  form.requestSubmit();
}

function sendFile(file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  picker.files = transfer.files;
  address.value = "";
  send();
}

function sendAddress(text) {
  for (const input of form.querySelectorAll("input[type=file]")) input.value = "";
  address.value = text;
  send();
}

/** The first web address in dropped or pasted text; empty when there is none. */
function addressIn(text) {
  const line = text.split("\n").map((part) => part.trim()).find((part) => part && !part.startsWith("#"));
  return line && /^https?:\/\/\S+$/i.test(line) ? line : "";
}

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    if (!input.files.length) return;
    for (const other of form.querySelectorAll("input[type=file]")) {
      if (other !== input) other.value = "";
    }
    address.value = "";
    send();
  });
}

form.addEventListener("submit", (event) => {
  const hasFile = [...form.querySelectorAll("input[type=file]")].some((input) => input.files.length);
  if (!hasFile && !address.value.trim()) {
    event.preventDefault();
    complain("Choose a picture first, or give the address of one.");
    return;
  }
  // The form must still be in the page while the browser gathers what it sends.
  setTimeout(showWaiting);
});

acceptDrops("Drop to search", (transfer) => {
  const file = transfer.files[0];
  const dropped = addressIn(transfer.getData("text/uri-list"));
  if (file) sendFile(file);
  else if (dropped) sendAddress(dropped);
  else complain("There is no picture in what you dropped.");
});

document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
  if (file) {
    event.preventDefault();
    sendFile(file);
    return;
  }
  if (event.target.closest?.("input, textarea")) return; // ordinary pasting of text
  const pasted = addressIn(event.clipboardData.getData("text/plain"));
  if (pasted) sendAddress(pasted);
  else complain(NONE_PASTED);
});

const pasteButton = form.querySelector("[data-paste]");
if (pasteButton && navigator.clipboard?.read) {
  pasteButton.hidden = false;
  pasteButton.addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((each) => each.startsWith("image/"));
        if (type) {
          const name = `pasted.${type.slice(6).replace(/\+.*/, "")}`;
          sendFile(new File([await item.getType(type)], name, { type }));
          return;
        }
        if (item.types.includes("text/plain")) {
          const pasted = addressIn(await (await item.getType("text/plain")).text());
          if (pasted) {
            sendAddress(pasted);
            return;
          }
        }
      }
      complain(NONE_PASTED);
    } catch {
      complain("The browser did not let this page read the clipboard. Press Ctrl+V or ⌘V instead.");
    }
  });
}

// Back again, with the page as it was left.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  hideWaiting();
  form.reset();
});
