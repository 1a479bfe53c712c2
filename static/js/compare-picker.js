// Two pictures are chosen: by a file dialog, dropped on either side, or pasted.

const form = document.querySelector("form[data-two]");
const problem = form.querySelector("[data-problem]");
const drops = [...form.querySelectorAll("[data-drop]")];
const previews = new WeakMap();

function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = false;
}

const fileOf = (drop) => drop.querySelector("[data-file]").files[0];
const addressOf = (drop) => drop.querySelector("[data-address]");
const isGiven = (drop) =>
  Boolean(fileOf(drop) || addressOf(drop).value.trim() || drop.querySelector("input[type=hidden]"));

function show(drop) {
  const file = fileOf(drop);
  if (!file) return;
  const picture = drop.querySelector("[data-preview]");
  if (previews.has(drop)) URL.revokeObjectURL(previews.get(drop));
  previews.set(drop, URL.createObjectURL(file));
  picture.src = previews.get(drop);
  // What the browser cannot show (HEIC, TIFF) has its name at least.
  picture.hidden = false;
  picture.onerror = () => { picture.hidden = true; };
  drop.querySelector("[data-given-name]").textContent = file.name;
  drop.querySelector("[data-given]").hidden = false;
  drop.querySelector("[data-hint]").hidden = true;
  problem.hidden = true;
}

function give(drop, files) {
  const pictures = [...files];
  // Two files at once are the two pictures.
  const targets = pictures.length > 1 ? drops : [drop];
  targets.forEach((target, place) => {
    if (!pictures[place]) return;
    const transfer = new DataTransfer();
    transfer.items.add(pictures[place]);
    target.querySelector("[data-file]").files = transfer.files;
    addressOf(target).value = "";
    show(target);
  });
}

for (const drop of drops) {
  drop.querySelector("[data-file]").addEventListener("change", () => {
    addressOf(drop).value = "";
    show(drop);
  });
  for (const type of ["dragenter", "dragover"]) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      drop.classList.add("is-over");
    });
  }
  drop.addEventListener("dragleave", (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove("is-over");
  });
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    const address = event.dataTransfer.getData("text/uri-list").split("\n")[0].trim();
    if (event.dataTransfer.files.length) give(drop, event.dataTransfer.files);
    else if (/^https?:\/\//i.test(address)) addressOf(drop).value = address;
    else complain("There is no picture in what you dropped.");
  });
}

document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
  if (!files.length) return;
  event.preventDefault();
  give(drops.find((drop) => drop.contains(event.target)) ?? drops.find((drop) => !isGiven(drop)) ?? drops[1], files);
});

// A file that misses the two sides must not open in this window.
for (const type of ["dragover", "drop"]) {
  document.addEventListener(type, (event) => event.preventDefault());
}

form.addEventListener("submit", (event) => {
  if (drops.every(isGiven)) return;
  event.preventDefault();
  complain("Choose two pictures: a file, an address or a number each.");
  drops.find((drop) => !isGiven(drop)).querySelector("[data-file]").focus();
});
