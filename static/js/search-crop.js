// Drawing a box on the query picture, with the mouse, a finger or the keyboard.
//
// The box lives in the form's field `box`: left, top, width, height, 0 to 1 of the picture.

const SETTLED_MS = 300;
const KEYS_SETTLED_MS = 600;
const SMALLEST = 12; // CSS pixels: a click draws nothing
const STEP = 0.02; // of a side, by an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CORNERS = ["n", "e", "s", "w", "ne", "nw", "se", "sw"];

let ask = () => {};
let timer = 0;
let loading = null;
let canvas = null;
let selection = null;
let isOurs = false; // we move the box, nobody else
let isAhead = false; // the box on the picture is newer than that of the form
let fitted = ""; // the place of the picture that the component lies on

const stage = () => document.querySelector("[data-stage]");
const field = () => document.getElementById("box");
const button = () => document.querySelector("[data-crop]");

/** Where the picture lies in its frame, in CSS pixels: `object-fit: contain`, in numbers. */
function place() {
  const frame = stage();
  const picture = frame.querySelector("img");
  const ratio = Number(picture.getAttribute("width")) / Number(picture.getAttribute("height"));
  const outer = frame.getBoundingClientRect();
  const inner = picture.getBoundingClientRect();
  const width = Math.min(inner.width, inner.height * ratio);
  const height = width / ratio;
  return {
    left: inner.left - outer.left + (inner.width - width) / 2,
    top: inner.top - outer.top + (inner.height - height) / 2,
    width,
    height,
  };
}

const between = (low, number, high) => Math.max(low, Math.min(number, high));

function element(name, attributes) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Make the component when somebody is about to draw. */
async function open() {
  loading ??= import(stage().dataset.cropper).then(build);
  await loading;
}

async function build() {
  canvas = element("cropper-canvas", { "data-own": "" });
  const shade = element("cropper-shade", { "theme-color": "rgba(10, 10, 10, 0.55)" });
  selection = element("cropper-selection", { movable: "", resizable: "", outlined: "", "theme-color": "#fff", tabindex: "0", role: "group",
    "aria-roledescription": "box",
    "aria-label": "The part that is searched for. Arrow keys move it, Shift and arrow keys change its size, Delete takes it away." });
  selection.append(element("cropper-handle", { action: "move", "theme-color": "transparent" }));
  for (const corner of CORNERS) selection.append(element("cropper-handle", { action: `${corner}-resize`, "theme-color": "rgba(255, 255, 255, 0.9)" }));
  canvas.append(shade, element("cropper-handle", { action: "select", plain: "" }), selection);
  stage().append(canvas);
  fit();
  // New elements of the component go back to their first state once, in their own time.
  await new Promise(requestAnimationFrame);
  show();
  selection.addEventListener("change", keepInside);
  selection.addEventListener("keydown", byKey);
  canvas.addEventListener("actionstart", () => { isAhead = true; });
  canvas.addEventListener("actionend", drawn);
  new ResizeObserver(() => { if (fit()) show(); }).observe(stage());
}

/** Lay the component over the picture; whether it lay elsewhere. */
function fit() {
  const at = place();
  if (fitted === Object.values(at).join()) return false;
  fitted = Object.values(at).join();
  Object.assign(canvas.style, { position: "absolute", left: `${at.left}px`, top: `${at.top}px`,
    width: `${at.width}px`, height: `${at.height}px`, minWidth: "0", minHeight: "0" });
  return true;
}

function put(left, top, width, height) {
  isOurs = true;
  selection.$change(left, top, width, height);
  isOurs = false;
}

/** Show the box that the form has, or none. */
function show() {
  isAhead = false;
  const numbers = field()?.value.split(",").map(Number) ?? [];
  const is = numbers.length === 4;
  const { width, height } = place();
  if (is) put(numbers[0] * width, numbers[1] * height, numbers[2] * width, numbers[3] * height);
  else put(0, 0, 0, 0);
  selection.hidden = !is;
  stage().toggleAttribute("data-cropping", is);
  button()?.setAttribute("aria-pressed", String(is));
}

/** No box leaves the picture. */
function keepInside(event) {
  if (isOurs) return;
  const { x, y, width, height } = event.detail;
  const all = place();
  stage().toggleAttribute("data-cropping", true);
  if (x > -0.01 && y > -0.01 && x + width < all.width + 0.01 && y + height < all.height + 0.01) return;
  event.preventDefault();
  const isMoved = Math.abs(width - selection.width) < 0.5 && Math.abs(height - selection.height) < 0.5;
  if (isMoved) {
    put(between(0, x, all.width - width), between(0, y, all.height - height), width, height);
    return;
  }
  const left = Math.max(0, x);
  const top = Math.max(0, y);
  put(left, top, Math.min(x + width, all.width) - left, Math.min(y + height, all.height) - top);
}

function drawn() {
  if (selection.hidden) {
    isAhead = false;
    return;
  }
  if (selection.width < SMALLEST || selection.height < SMALLEST) {
    show(); // a click: what was there before stays
    return;
  }
  settle(SETTLED_MS);
}

function byKey(event) {
  const arrow = ARROWS[event.key];
  const isEnd = ["Delete", "Backspace", "Escape"].includes(event.key);
  if (!(arrow || isEnd || event.key === "Enter") || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (isEnd) return clear();
  if (!arrow) return settle(0);
  const all = place();
  const [right, down] = [arrow[0] * STEP * all.width, arrow[1] * STEP * all.height];
  let { x, y, width, height } = selection;
  if (event.shiftKey) {
    width = between(SMALLEST, width + right, all.width - x);
    height = between(SMALLEST, height + down, all.height - y);
  } else {
    x = between(0, x + right, all.width - width);
    y = between(0, y + down, all.height - height);
  }
  put(x, y, width, height);
  settle(KEYS_SETTLED_MS);
}

/** Search with the box as it is, once it rests. */
function settle(ms) {
  clearTimeout(timer);
  isAhead = true;
  timer = setTimeout(() => {
    isAhead = false;
    const all = place();
    const part = [selection.x / all.width, selection.y / all.height, selection.width / all.width, selection.height / all.height];
    const text = part.map((number) => String(Math.round(between(0, number, 1) * 1e4) / 1e4)).join(",");
    if (field().value === text) return;
    field().value = text;
    ask();
  }, ms);
}

function clear() {
  clearTimeout(timer);
  if (!field().value) {
    show();
    return;
  }
  field().value = "";
  show();
  button()?.focus();
  ask();
}

/** A box in the middle, to begin with, and the keyboard on it. */
async function begin() {
  await open();
  if (selection.hidden) {
    const { width, height } = place();
    selection.hidden = false;
    stage().toggleAttribute("data-cropping", true);
    put(0.2 * width, 0.2 * height, 0.6 * width, 0.6 * height);
    settle(KEYS_SETTLED_MS);
  }
  stage().scrollIntoView({ block: "nearest" });
  selection.focus({ preventScroll: true });
}

/** Take care of the picture of this page; `asks` is called when the box has changed. */
export function watchStage(asks) {
  ask = asks;
  if (!stage()) return;
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-crop]")) begin();
  });
  // A mouse draws at once. A finger scrolls, until the button has said that it draws.
  stage().addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && button()) open();
  });
  // A link may have changed the box, or taken it away.
  document.addEventListener("htmx:afterSwap", () => {
    if (!selection || isAhead) return;
    fit();
    show();
  });
}
