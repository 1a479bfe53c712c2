// Keys that every page knows: `/` searches, `?` lists them.

import { isTyping } from "./text-fields.js";

const list = document.getElementById("keys");

function search() {
  const field = document.querySelector("form[data-search] [name=address]");
  if (field) field.focus();
  else window.location.assign(list.dataset.searchPage);
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isTyping(event.target) || list.open) return;
    if (event.key === "/") search();
    else if (event.key === "?") list.showModal();
    else return;
    event.preventDefault();
  });
  document.querySelector("[data-keys-open]")?.addEventListener("click", () => list.showModal());
  // A click beside the list is a click on its backdrop.
  list.addEventListener("click", (event) => { if (event.target === list) list.close(); });
}
