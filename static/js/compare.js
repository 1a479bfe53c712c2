// Two pictures: one laid on the other, and the regions that answer each other.

const MODES = { slider: true, blink: true, difference: true };
const BLINK_MS = 800;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const stage = document.querySelector("[data-stage]");
const laid = stage.querySelector("[data-laid]");
if (laid) {
  const picture = laid.querySelector("[data-laid-picture]");
  const cut = laid.querySelector("[data-cut]");
  const over = laid.querySelector("[data-over]");
  const divider = laid.querySelector("[data-divider]");
  const slider = laid.querySelector("[data-slider]");
  const pause = laid.querySelector("[data-blink]");
  const names = [...laid.querySelectorAll(".slider span")].map((each) => each.textContent);
  const box = picture.viewBox.baseVal;
  let mode = "sides";
  let timer = 0;

  function slide(percent) {
    const width = (box.width * percent) / 100;
    cut.setAttribute("width", mode === "slider" ? width : box.width);
    for (const end of ["x1", "x2"]) divider.setAttribute(end, box.x + width);
  }

  function showFirst(isFirst) {
    over.setAttribute("visibility", isFirst ? "visible" : "hidden");
    laid.querySelector("[data-blink-name]").textContent = names[isFirst ? 0 : 1];
  }

  const swap = () => showFirst(over.getAttribute("visibility") === "hidden");

  function blink(runs) {
    clearInterval(timer);
    if (runs) timer = setInterval(swap, BLINK_MS);
    pause.setAttribute("aria-pressed", String(!runs));
    pause.textContent = runs ? "Pause" : "Blink";
  }

  function setMode(next) {
    mode = next;
    laid.dataset.mode = mode;
    laid.hidden = !MODES[mode];
    stage.querySelector("[data-sides]").hidden = Boolean(MODES[mode]);
    for (const part of laid.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== mode;
    blink(mode === "blink" && !calm.matches);
    showFirst(true);
    slide(Number(slider.value));
  }

  for (const radio of stage.querySelectorAll("input[name=mode]")) {
    radio.addEventListener("change", () => setMode(radio.value));
    if (radio.checked) setMode(radio.value); // as the browser remembers it
  }
  slider.addEventListener("input", () => slide(Number(slider.value)));
  pause.addEventListener("click", () => blink(pause.getAttribute("aria-pressed") === "true"));
  laid.querySelector("[data-other]").addEventListener("click", () => {
    blink(false);
    swap();
  });
  const follow = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    slider.value = (100 * (at.x - box.x)) / box.width;
    slide(Number(slider.value));
  };
  picture.addEventListener("pointerdown", (event) => {
    if (mode !== "slider" || event.button !== 0) return;
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    follow(event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (mode === "slider" && picture.hasPointerCapture(event.pointerId)) follow(event);
  });
}

const why = document.querySelector("[data-why]");
const figures = [...why.querySelectorAll("[data-heated]")];
const said = why.querySelector("[data-cell-said]");
const ASK_AGAIN_MS = 3000;
const MOST_TRIES = 40;
const SVG = "http://www.w3.org/2000/svg";
let asked;

/** Say why a heatmap is missing, and ask again where it is only on its way. */
async function seekHeat(picture, address, tries) {
  picture.classList.add("is-missing");
  const answer = await fetch(address).catch(() => null);
  if (answer?.status === 200) {
    picture.src = URL.createObjectURL(await answer.blob());
    picture.classList.remove("is-missing");
    said.hidden = true;
    return;
  }
  said.textContent = answer ? await answer.text() : "The server cannot be reached.";
  said.hidden = false;
  const isComing = !answer || [202, 503].includes(answer.status);
  if (isComing && tries > 0) setTimeout(seekHeat, ASK_AGAIN_MS, picture, address, tries - 1);
}

for (const picture of why.querySelectorAll(".heat")) {
  const address = picture.src;
  const seek = () => seekHeat(picture, address, MOST_TRIES);
  picture.addEventListener("error", seek, { once: true });
  if (picture.complete && !picture.naturalWidth && picture.currentSrc) seek();
}

/** What each pair of regions adds, asked for when somebody first points at one. */
function pairs() {
  asked ??= fetch(why.dataset.why).then(async (answer) => {
    if (answer.status !== 200) throw new Error(await answer.text());
    const told = await answer.json();
    const bytes = Uint8Array.from(atob(told.pairs), (letter) => letter.charCodeAt(0));
    return { grids: [told.first, told.second], bytes };
  });
  asked.catch((error) => {
    asked = undefined;
    said.textContent = error.message;
    said.hidden = false;
  });
  return asked;
}

/** The rectangle of a region in the units of its figure. */
function cell(grid, view, row, column, width, height) {
  const [left, top, right, bottom] = grid.views[view];
  const x = [column, column + 1].map((at) => (left + ((right - left) * at) / grid.side) * width);
  const y = [row, row + 1].map((at) => (top + ((bottom - top) * at) / grid.side) * height);
  return { x: Math.min(...x), y: Math.min(...y), width: Math.abs(x[1] - x[0]), height: Math.abs(y[1] - y[0]) };
}

function draw(layer, shape, more) {
  const rect = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ ...shape, ...more })) rect.setAttribute(name, value);
  layer.append(rect);
}

function clear() {
  why.classList.remove("is-linked");
  for (const layer of why.querySelectorAll(".cells")) layer.replaceChildren();
}

function layerOf(place) {
  const layer = figures[place].querySelector(".cells");
  return [layer, Number(layer.dataset.width), Number(layer.dataset.height)];
}

/** Show a region of one picture, and how much each of the other answers it. */
function link(told, place, row, column) {
  clear();
  why.classList.add("is-linked");
  const [here, there] = [told.grids[place], told.grids[1 - place]];
  const [own, ownWidth, ownHeight] = layerOf(place);
  draw(own, cell(here, 0, row, column, ownWidth, ownHeight), { class: "chosen" });
  const [other, width, height] = layerOf(1 - place);
  const index = row * here.side + column;
  const columns = told.grids[1].side ** 2 * told.grids[1].views.length;
  const values = [];
  for (let at = 0; at < there.side ** 2; at += 1) {
    values.push(told.bytes[place === 0 ? index * columns + at : at * columns + index]);
  }
  const most = Math.max(1, ...values);
  values.forEach((value, at) => {
    const shape = cell(there, 0, Math.floor(at / there.side), at % there.side, width, height);
    draw(other, shape, { fill: "#fde725", "fill-opacity": 0.75 * (value / most) ** 1.5 });
  });
}

figures.forEach((figure, place) => {
  const layers = figure.querySelector(".layers");
  const layer = figure.querySelector(".cells");
  let chosen = null;

  const choose = async (row, column) => {
    const told = await pairs();
    const side = told.grids[place].side;
    chosen = [Math.min(Math.max(row, 0), side - 1), Math.min(Math.max(column, 0), side - 1)];
    link(told, place, ...chosen);
  };
  const point = async (event) => {
    const { grids } = await pairs();
    const [left, top, right, bottom] = grids[place].views[0];
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(layer.getScreenCTM().inverse());
    const column = ((at.x / Number(layer.dataset.width) - left) / (right - left)) * grids[place].side;
    const row = ((at.y / Number(layer.dataset.height) - top) / (bottom - top)) * grids[place].side;
    if (row < 0 || column < 0 || row >= grids[place].side || column >= grids[place].side) clear();
    else choose(Math.floor(row), Math.floor(column));
  };
  const forget = () => { chosen = null; clear(); };
  layers.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") point(event).catch(() => {}); });
  layers.addEventListener("pointerdown", (event) => point(event).catch(() => {}));
  layers.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") forget(); });
  layers.addEventListener("blur", forget);
  layers.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Escape") forget();
    if (!steps[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    const [down, across] = chosen ? steps[event.key] : [0, 0];
    const [row, column] = chosen ?? [3, 3];
    choose(row + down, column + across).catch(() => {});
  });
});
