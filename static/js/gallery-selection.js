// The grid of a gallery: arrows move, space selects, a bar below says what can be done with it.
//
// Selected is what is ticked: the boxes are those of an ordinary form, which works without this.

import { isTyping } from "./text-fields.js";

const grid = document.querySelector("[data-grid]");
const bar = document.querySelector("[data-selection]");

const cards = () => [...grid.querySelectorAll("[data-card]")];
const stop = (card) => card.querySelector("a") ?? card.querySelector("input");
const box = (card) => card.querySelector(".pick input");
const cardOf = (target) => (target instanceof Element ? target.closest("[data-card]") : null);

let last = null; // where a range begins
let before = new Set(); // what was selected when it began

function columns(all) {
  const top = all[0].offsetTop;
  const second = all.findIndex((card) => card.offsetTop > top);
  return second === -1 ? all.length : second;
}

function goTo(card) {
  const target = stop(card);
  target.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

/** Where a key leads from the card that has the focus; -1 for nowhere. */
function next(key, all, at) {
  const forward = getComputedStyle(grid).direction === "rtl" ? -1 : 1;
  switch (key) {
    case "ArrowRight": return at + forward;
    case "ArrowLeft": return at - forward;
    case "ArrowDown": return at + columns(all);
    case "ArrowUp": return at - columns(all);
    case "Home": return 0;
    case "End": return all.length - 1;
    default: return -1;
  }
}

function set(card, on) {
  const input = box(card);
  if (input) input.checked = on;
}

/** Select all from where the range began to `card`, besides what was selected before. */
function range(card) {
  const all = cards();
  const [from, to] = [all.indexOf(last ?? card), all.indexOf(card)].sort((a, b) => a - b);
  all.forEach((each, place) => set(each, before.has(each) || (place >= from && place <= to)));
}

function begin(card) {
  last = card;
  before = new Set(cards().filter((each) => box(each)?.checked));
}

function selecting() {
  const everything = bar.querySelector("[data-all]");
  const count = bar.querySelector("[data-count]");
  const said = document.querySelector("[data-selection-said]");
  const actions = bar.querySelectorAll("button[name=action]");

  function show() {
    const number = grid.querySelectorAll(".pick input:checked").length;
    const all = everything.checked;
    for (const card of cards()) card.toggleAttribute("data-selected", all || box(card).checked);
    count.textContent = all ? "All selected" : number ? `${number} selected` : "Nothing selected";
    const any = all || number > 0;
    bar.toggleAttribute("data-shown", any);
    grid.toggleAttribute("data-selecting", any);
    bar.inert = !any;
    for (const button of actions) button.disabled = !any;
    if (!any) for (const panel of bar.querySelectorAll("details")) panel.open = false;
    if (said.textContent !== count.textContent) said.textContent = any || said.textContent ? count.textContent : "";
  }

  function clear() {
    everything.checked = false;
    for (const card of cards()) set(card, false);
    last = null;
    show();
  }

  grid.addEventListener("change", (event) => {
    if (!event.target.matches(".pick input")) return;
    everything.checked = false;
    show();
  });
  everything.addEventListener("change", show);
  bar.querySelector("[data-clear]").addEventListener("click", () => {
    const back = last ?? cards()[0];
    clear();
    goTo(back);
  });

  grid.addEventListener("click", (event) => {
    const card = cardOf(event.target);
    if (!card) return;
    const onBox = event.target.closest(".pick") !== null;
    // Once something is selected, a click or a tap selects; before, it opens the picture.
    const inGrid = grid.hasAttribute("data-selecting") || event.shiftKey || event.ctrlKey || event.metaKey;
    if (!onBox && !inGrid) return;
    if (event.shiftKey && last) {
      if (!onBox) event.preventDefault();
      // After the box itself has changed.
      setTimeout(() => { range(card); everything.checked = false; show(); });
      return;
    }
    if (!onBox && !event.target.closest("label")) {
      event.preventDefault();
      set(card, !box(card).checked);
    }
    setTimeout(() => { begin(card); everything.checked = false; show(); });
  });

  document.addEventListener("keydown", (event) => {
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const card = cardOf(document.activeElement);
    if (event.key === "Escape") {
      const open = bar.querySelector("details[open]");
      if (open) { open.open = false; open.querySelector("summary").focus(); }
      else if (grid.hasAttribute("data-selecting")) { const back = card ?? last; clear(); if (back) goTo(back); }
      else return;
    } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a" && !event.shiftKey) {
      for (const each of cards()) set(each, true);
      everything.checked = false;
      show();
    } else if (event.key === " " && card && event.target === stop(card)) {
      if (event.shiftKey) range(card);
      else { set(card, !box(card).checked); begin(card); }
      everything.checked = false;
      show();
    } else if (event.key === "Delete" && grid.hasAttribute("data-selecting")) {
      bar.querySelector("[name=action][value=delete]")?.click();
    } else return;
    event.preventDefault();
  });

  bar.addEventListener("keydown", (event) => {
    // Escape in a field of a panel closes the panel.
    const open = event.key === "Escape" ? event.target.closest("details[open]") : null;
    if (!open) return;
    event.stopPropagation();
    open.open = false;
    open.querySelector("summary").focus();
  });
  // Enter in a field means the button of its own panel, not the first one of the form.
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !isTyping(event.target) || event.target.matches("select")) return;
    event.preventDefault();
    event.target.closest("details")?.querySelector("button[name=action]")?.click();
  });
  for (const panel of bar.querySelectorAll("details")) {
    panel.addEventListener("toggle", () => {
      if (!panel.open) return;
      for (const other of bar.querySelectorAll("details[open]")) if (other !== panel) other.open = false;
      panel.querySelector("input, select").focus();
    });
  }
  // Pages that arrive by 'Older pictures' belong to 'all', too.
  grid.addEventListener("htmx:afterSwap", show);
  show();
  return show;
}

if (grid) {
  const show = bar ? selecting() : () => {};
  grid.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = cards();
    const at = all.indexOf(cardOf(event.target));
    if (at === -1) return;
    const place = next(event.key, all, at);
    if (place < 0 || place >= all.length || place === at) return;
    event.preventDefault();
    if (bar && event.shiftKey) {
      if (!last) begin(all[at]);
      range(all[place]);
      bar.querySelector("[data-all]").checked = false;
      show();
    }
    goTo(all[place]);
  });
}
