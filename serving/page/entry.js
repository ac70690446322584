// The entry by sentence, each with its strongest label, and the words behind it.

import { byId, complain, element, percent, predict, slicer, tone } from "./service.js";

const HOVER_MS = 250; // a pause of the pointer after which reasons are asked for
const LABELS = 3; // labels explained, the most probable first
const WORDS = 4; // words named for, and as many against
const entry = byId("entry"), reasons = byId("reasons");
let shown = 0; // counts answers: a late one is of an entry that is gone

export function clearEntry() {
  shown += 1;
  entry.hidden = reasons.hidden = true;
  entry.replaceChildren();
}

/** The sentences of what was asked: a text, and maybe the turns before it. */
export function showEntry(asked, segments) {
  clearEntry();
  const slice = slicer(asked.text);
  let last = 0;
  for (const segment of segments) {
    entry.append(slice(last, segment.start), sentence(asked, slice(segment.start, segment.end), segment));
    last = segment.end;
  }
  entry.append(slice(last));
  entry.hidden = false;
}

const strongest = (segment) => segment.labels.filter((score) => score.decided)[0];

function sentence(asked, words, segment) {
  const label = strongest(segment), near = segment.probably;
  const made = element("span", `sentence ${label ? tone(label.label) : "undecided"}`, words);
  const tag = label ? label.label : near ? `probably ${near.label}` : "";
  made.append(element("span", "tag", ` ${tag}`));
  made.tabIndex = 0;
  made.setAttribute("role", "button");
  made.setAttribute("aria-pressed", "false");
  let timer = 0;
  const open = () => explain(made, asked, segment);
  made.addEventListener("click", open);
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  });
  made.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") timer = setTimeout(open, HOVER_MS);
  });
  made.addEventListener("pointerleave", () => clearTimeout(timer));
  return made;
}

async function explain(made, asked, segment) {
  const answer = shown;
  for (const other of entry.querySelectorAll(".sentence")) other.setAttribute("aria-pressed", String(other === made));
  try {
    if (!segment.reasons) {
      const body = { ...asked, segments: [[segment.start, segment.end]], explain: true };
      segment.reasons = (await predict(body)).results[0].segments[0].reasons;
    }
  } catch (error) {
    return complain(error);
  }
  if (answer !== shown || made.getAttribute("aria-pressed") !== "true") return;
  const p = new Map(segment.labels.map((score) => [score.label, score.probability]));
  const found = Object.entries(segment.reasons).sort(([a], [b]) => p.get(b) - p.get(a)).slice(0, LABELS);
  reasons.replaceChildren(...(found.length ? found.map(([label, scores]) => reason(label, scores, segment)) : [undecided(segment)]));
  reasons.append(element("p", "quiet", "What the model reacted to: without the word, the label's odds fall or rise by this factor."));
  reasons.hidden = false;
}

function undecided(segment) {
  const { label, probability, threshold } = segment.probably ?? segment.labels[0];
  return element("p", "", `Nothing is decided here. Probably ${label}: ${percent(probability)}, its threshold is ${percent(threshold)}.`);
}

function reason(label, scores, segment) {
  const made = element("div", `reason ${tone(label)}`);
  const score = segment.labels.find((each) => each.label === label);
  made.append(element("p", "reason-label", `${label} ${score ? percent(score.probability) : ""}`));
  const list = element("ul");
  const some = scores.filter((each) => each.contribution > 0.1).slice(0, WORDS);
  const against = scores.filter((each) => each.contribution < -0.1).slice(-WORDS).reverse();
  for (const each of [...some, ...against]) {
    const side = each.contribution > 0 ? "for" : "against";
    const item = element("li", side, each.word);
    item.append(element("span", "factor", ` ${side === "for" ? "×" : "÷"}${factor(each.contribution)}`));
    item.setAttribute("aria-label", `${each.word}, ${side} it, factor ${factor(each.contribution)}`);
    list.append(item);
  }
  if (!list.children.length) list.append(element("li", "", "no single word: the sentence as a whole"));
  made.append(list);
  return made;
}

const factor = (contribution) => {
  const value = Math.exp(Math.abs(contribution));
  return value < 10 ? value.toFixed(1) : value < 1000 ? value.toFixed(0) : "1000+";
};
