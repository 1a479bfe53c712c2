// The page of results: one form holds the whole question, and every change of it asks anew.
//
// Without this file the form has a button.

import { watchStage } from "./search-crop.js";

const SETTLED_MS = 250; // with the keyboard, each arrow press is a change
const SLOW_MS = 4000;

const page = () => document.getElementById("page");
const asking = () => document.getElementById("asking");

let timer = 0;
let slow = 0;

function ask() {
  clearTimeout(timer);
  asking()?.requestSubmit();
}

document.addEventListener("change", (event) => {
  if (event.target.form !== asking() || !asking()) return;
  clearTimeout(timer);
  timer = setTimeout(ask, SETTLED_MS);
});

// The number beside the handle follows it.
document.addEventListener("input", (event) => {
  if (!event.target.matches?.("[data-floor]")) return;
  const shown = document.querySelector("output[for=floor]");
  if (shown) shown.textContent = Number(event.target.value).toFixed(2);
});

// That weak matches are unfolded stands in the address, and asks nothing anew.
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.("[data-weak]")) return;
  const weak = event.target.open ? "1" : "";
  const field = document.getElementById("weak");
  if (!field || field.value === weak) return;
  field.value = weak;
  const address = new URL(location.href);
  if (weak) address.searchParams.set("weak", weak);
  else address.searchParams.delete("weak");
  history.replaceState(history.state, "", address);
}, true);

// A click on a match is a search in this page; one for a new tab or window is the browser's own.
document.addEventListener("click", (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
  if (event.target.closest?.("[data-search-link]")) event.stopImmediatePropagation();
}, true);

// What is empty need not be sent; and a link goes on with weak matches as they are now.
document.addEventListener("htmx:configRequest", (event) => {
  const { elt, formData } = event.detail;
  if (elt === asking()) {
    for (const [name, value] of [...formData.entries()]) if (value === "") formData.delete(name);
    return;
  }
  const weak = document.getElementById("weak");
  if (!weak || !page()?.contains(elt) || elt.matches("[data-search-link]")) return;
  const address = new URL(event.detail.path, location.href);
  if (weak.value) address.searchParams.set("weak", weak.value);
  else address.searchParams.delete("weak");
  event.detail.path = address.pathname + address.search;
});

// New results are put over the old ones: what did not change stays, with its focus and its state.
const ours = globalThis.Idiomorph.defaults.callbacks;
ours.beforeNodeRemoved = (node) => !(node instanceof Element && node.matches("[data-own]"));
ours.beforeAttributeUpdated = (name, node) =>
  !(name === "open" && node.tagName === "DETAILS" && !node.matches("[data-weak]"))
  && !(name === "class" && node.matches("[data-page], [data-stage]"))
  && !(name === "data-cropping");

function trouble(sentence) {
  const said = document.getElementById("trouble");
  if (!said) return;
  said.textContent = sentence;
  said.hidden = !sentence;
}

// A look at more matches goes on behind what is there: nobody waits for it, nobody hears if it fails,
// and it comes too late when something else was asked meanwhile.
let questions = 0;
const isQuiet = (event) => ["lens", "deeper"].includes((event.detail.requestConfig?.elt ?? event.detail.elt).id);

document.addEventListener("htmx:beforeRequest", (event) => {
  if (isQuiet(event)) event.detail.requestConfig.question = questions;
  if (event.detail.target !== page() || isQuiet(event)) return;
  questions += 1;
  trouble("");
  page().setAttribute("aria-busy", "true");
  slow = setTimeout(() => { document.getElementById("summary").textContent = "Still searching…"; }, SLOW_MS);
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (isQuiet(event)) return;
  clearTimeout(slow);
  page()?.removeAttribute("aria-busy");
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target, requestConfig } = event.detail;
  if (requestConfig.elt.id === "deeper" && requestConfig.question !== questions) event.detail.shouldSwap = false;
  // An error of ours is a page too: it says what was wrong where the results would be.
  if (target !== page() || xhr.status < 400 || isQuiet(event)) return;
  const isOurs = xhr.responseText.includes("data-page");
  event.detail.shouldSwap = isOurs;
  if (!isOurs) trouble("The search failed. Reload the page to try again.");
});
document.addEventListener("htmx:sendError", (event) => isQuiet(event) || trouble("The server cannot be reached. Try again in a moment."));
document.addEventListener("htmx:timeout", (event) => isQuiet(event) || trouble("The search took too long. Try again in a moment."));

// The facts fold where the screen is narrow; beside the results they are always open.
const facts = document.getElementById("query-facts");
const wide = matchMedia("(min-width: 56.01rem)");
function unfold() {
  if (facts) facts.open = wide.matches;
}
wide.addEventListener("change", unfold);
unfold();

watchStage(ask);
