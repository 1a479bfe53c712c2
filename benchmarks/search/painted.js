// From the click that asks to the frame after which all thumbnails in view are painted.
//
// Runs in every page before its own scripts. The moment of the click is kept for the next page;
// both count from the same clock.
addEventListener("click", (event) => note(event, event.target.closest?.("[data-search-link]")), true);
addEventListener("change", (event) => note(event, event.target.matches?.("[data-picker]")), true);

function note(event, isAsking) {
  if (!isAsking) return;
  performance.clearResourceTimings(); // which a page that lives long has no more room for
  sessionStorage.setItem("asked", String(performance.timeOrigin + event.timeStamp));
}

const frame = () => new Promise(requestAnimationFrame);
window.isInView = (element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
};

addEventListener("DOMContentLoaded", () => {
  const [page] = performance.getEntriesByType("navigation");
  painted(page.responseStart, page.domContentLoadedEventStart);
});
// Results may come without a page of their own.
addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.requestConfig.elt.id === "lens" || event.detail.requestConfig.elt.id === "deeper") return;
  const sent = performance.getEntriesByType("resource").filter((one) => one.initiatorType === "xmlhttprequest");
  painted(sent.at(-1)?.responseStart ?? 0, performance.now());
});

async function painted(firstByte, whole) {
  const asked = Number(sessionStorage.getItem("asked"));
  if (!asked || !document.querySelector("[data-cards]")) return;
  sessionStorage.removeItem("asked");
  const pictures = [...document.querySelectorAll("[data-cards] img")].filter(window.isInView);
  await Promise.all(pictures.map((picture) => picture.decode()));
  await frame();
  await frame();
  const since = (moment) => performance.timeOrigin + moment - asked;
  const said = {
    pictures: pictures.length,
    first_byte: since(firstByte),
    page: since(whole),
    all: since(performance.now()),
  };
  console.debug(`painted ${JSON.stringify(said)}`);
}

// Paints and shifts as the browser itself counts them: a shift that somebody's input caused is none.
window.largest = 0;
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.largest = entry.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
