// What was said before the text: a field that is there where the model reads previous turns.

import { byId, state } from "./service.js";

const MOST_TURNS = 64; // the service takes no more
const SPOKEN = /^([^:.?!]{1,40}): +(.+)$/;
const before = byId("before"), lines = byId("before-lines"), title = before.querySelector("summary");

export function offerContext(format) {
  before.hidden = !format;
  byId("before-hint").textContent = format?.turns
    ? `The model reads the last ${format.turns === 1 ? "one" : format.turns}.`
    : "The model reads the last ones, as many as fit.";
}

/** The turns as the service takes them, the oldest first, or nothing: a body that can be spread into a request. */
export function context() {
  const turns = state.model?.context ? written() : [];
  return turns.length ? { context: turns.slice(-MOST_TURNS).map(turn) } : {};
}

export const writtenBefore = () => (before.hidden ? "" : lines.value);

export function writeBefore(value) {
  lines.value = value;
  before.open = Boolean(value);
  count();
}

export function whenContextChanges(read) {
  lines.addEventListener("input", () => { count(); read(); });
}

const written = () => lines.value.split("\n").map((line) => line.trim()).filter(Boolean);

const turn = (line) => {
  const [, speaker, text] = SPOKEN.exec(line) ?? [];
  return speaker ? { speaker: speaker.trim(), text } : line;
};

function count() {
  const { length } = written();
  title.textContent = `What was said before${length ? `: ${length} ${length === 1 ? "turn" : "turns"}` : ""}`;
}
