// Texts that were read, in this browser's own storage and nowhere else.

import { byId, element } from "./service.js";

const KEY = "emotions.history", OFF = "emotions.history.off", MOST = 50;
let onOpen = () => {};

const load = () => {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // no storage here, or not ours
  }
};

const store = (items) => {
  try {
    localStorage.setItem(KEY, JSON.stringify(items));
  } catch {
    byId("no-past").textContent = "This browser keeps nothing for this page.";
  }
};

const isOff = () => {
  try {
    return localStorage.getItem(OFF) === "1";
  } catch {
    return true;
  }
};

/** Keep a text, with what was said before it. */
export function remember(text, verdict, before = "") {
  if (isOff()) return;
  const others = load().filter((item) => item.text !== text || (item.before ?? "") !== before);
  store([{ text, before, verdict, when: new Date().toISOString() }, ...others].slice(0, MOST));
  draw();
}

export const whenOpened = (open) => { onOpen = open; };

function draw() {
  const items = load();
  byId("keep").checked = !isOff();
  byId("no-past").hidden = items.length > 0;
  byId("clear").hidden = items.length === 0;
  byId("past").replaceChildren(...items.map((item) => {
    const made = element("li"), open = element("button", "chip");
    open.type = "button";
    const when = element("time", "quiet", new Date(item.when).toLocaleString());
    const words = element("span", "clipped", item.text);
    when.dateTime = item.when;
    words.dir = "auto";
    open.append(words, element("span", "quiet", item.verdict));
    open.addEventListener("click", () => onOpen(item.text, item.before));
    made.append(open, when);
    return made;
  }));
}

byId("clear").addEventListener("click", () => { store([]); draw(); byId("keep").focus(); });
byId("keep").addEventListener("change", () => {
  try {
    localStorage.setItem(OFF, byId("keep").checked ? "0" : "1");
  } catch {
    byId("keep").checked = false;
  }
});
draw();
