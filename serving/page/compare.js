// Two texts beside each other.

import { byId, complain, element, listed, percent, predict } from "./service.js";
import { row } from "./bars.js";

const SHOWN = 8;

async function compare() {
  const texts = ["first", "second"].map((id) => byId(id).value);
  if (!texts.every((text) => text.trim())) {
    byId("compare-words").textContent = "Write something in both.";
    return;
  }
  try {
    const { results } = await predict({ texts, segments: "sentence", top_k: 1000 });
    const problem = results.find((result) => result.error);
    if (problem) throw Object.assign(new Error(problem.error.detail), { status: 422 });
    complain(null);
    show(results);
  } catch (error) {
    complain(error);
  }
}

function show([first, second]) {
  const other = new Map(second.labels.map((score) => [score.label, score]));
  const pairs = first.labels.map((score) => [score, other.get(score.label)]);
  const highest = ([a, b]) => Math.max(a.probability, b.probability);
  pairs.sort((a, b) => highest(b) - highest(a));
  byId("compare-bars").replaceChildren(...pairs.slice(0, SHOWN).map(([a, b]) => {
    const made = element("li", "both"), list = element("ul");
    list.append(named(a, "first"), named(b, "second"));
    made.append(element("span", "name", a.label), list);
    return made;
  }));
  const [more, less] = [1, -1].map((sign) => change(pairs, sign));
  byId("compare-words").textContent = more || less
    ? `From the first to the second: ${[more && `more ${more}`, less && `less ${less}`].filter(Boolean).join("; ")}.`
    : "Both decide the same labels.";
}

function named(score, name) {
  const made = row(score);
  made.querySelector(".name").textContent = name;
  return made;
}

const change = (pairs, sign) => {
  const names = pairs.filter(([a, b]) => sign * (b.decided - a.decided) > 0)
    .map(([a, b]) => `${a.label} (${percent(a.probability)} to ${percent(b.probability)})`);
  return names.length ? listed(names) : "";
};

byId("compare-go").addEventListener("click", compare);
