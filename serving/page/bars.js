// The bars of the whole text, and its timeline.

import { byId, element, percent, tone } from "./service.js";

const SHOWN = 6; // bars shown at first
const STRIPS = 8; // labels of the timeline
const bars = byId("bars"), more = byId("more");
let labels = [], all = false;

export function showBars(found) {
  labels = found;
  draw();
}

export function clearBars() {
  bars.replaceChildren();
  more.hidden = true;
}

function draw() {
  const few = Math.max(SHOWN, labels.findLastIndex((entry) => entry.decided) + 1); // every decided one
  const old = new Map([...bars.children].map((row) => [row.dataset.label, row]));
  bars.replaceChildren(...labels.slice(0, all ? labels.length : few).map((entry) => row(entry, old.get(entry.label))));
  more.hidden = labels.length <= few;
  more.textContent = all ? "Show fewer" : `Show all ${labels.length}`;
  more.setAttribute("aria-expanded", String(all));
}

/** A bar; one that was there before is reused, so that it glides to its new length. */
export function row(entry, old) {
  const made = old ?? element("li");
  if (!old) {
    const track = element("div", "track");
    track.append(element("div", "fill"), element("div", "threshold"));
    made.append(element("span", "name", entry.label), track, element("span", "value"));
    made.dataset.label = entry.label;
  }
  made.className = `row ${entry.decided ? "decided" : ""} ${tone(entry.label)}`;
  made.querySelector(".value").textContent = percent(entry.probability);
  made.style.setProperty("--p", entry.probability);
  made.style.setProperty("--t", entry.threshold);
  const threshold = `threshold ${(entry.threshold * 100).toFixed(0)}%`;
  made.title = `${entry.label}: ${percent(entry.probability)}, ${threshold}, ${entry.decided ? "decided" : "not decided"}`;
  return made;
}

/** One strip a label, one cell a sentence, the darker the more probable. */
export function showTimeline(timeline) {
  const figure = byId("timeline");
  const rows = Object.entries(timeline ?? {}).filter(([, course]) => course.length > 2)
    .sort(([, a], [, b]) => Math.max(...b) - Math.max(...a)).slice(0, STRIPS);
  figure.hidden = !rows.length;
  figure.querySelector("ol").replaceChildren(...rows.map(([label, course]) => {
    const made = element("li", tone(label)), strip = element("span", "strip");
    strip.append(...course.map((p) => {
      const cell = element("i");
      cell.style.setProperty("--p", p);
      return cell;
    }));
    const highest = Math.max(...course);
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", `strongest in sentence ${course.indexOf(highest) + 1}, ${percent(highest)}`);
    made.append(element("span", "name", label), strip);
    return made;
  }));
}

more.addEventListener("click", () => { all = !all; draw(); });
