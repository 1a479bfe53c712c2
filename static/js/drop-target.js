// The whole page takes what is dropped on it.

/**
 * Call `take(dataTransfer)` for whatever is dropped from outside the page.
 * @param {string} words what is shown while something is over the page
 * @param {(transfer: DataTransfer) => void} take
 */
export function acceptDrops(words, take) {
  const root = document.documentElement;
  let inside = 0; // enter and leave come for every element on the way
  let isOurs = false; // one of our own pictures is dragged about

  const holds = (event) =>
    !isOurs && [...event.dataTransfer.types].some((type) => type === "Files" || type === "text/uri-list");
  const end = () => {
    inside = 0;
    delete root.dataset.dragging;
  };

  document.addEventListener("dragstart", () => { isOurs = true; });
  document.addEventListener("dragend", () => { isOurs = false; });
  document.addEventListener("dragenter", (event) => {
    if (!holds(event)) return;
    inside += 1;
    root.dataset.dragging = words;
  });
  document.addEventListener("dragleave", (event) => {
    if (!holds(event)) return;
    inside -= 1;
    if (inside <= 0) end();
  });
  document.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    end();
    take(event.dataTransfer);
  });
}
