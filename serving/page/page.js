"use strict";

const PAUSE_MS = 350; // a pause in typing after which the text is read
const SHOWN = 8; // bars shown at first

const byId = (id) => document.getElementById(id);
const text = byId("text"), bars = byId("bars"), profile = byId("profile"), policy = byId("policy"), more = byId("more"), verdict = byId("verdict");
const state = { model: null, labels: [], all: false, timer: 0, under: null };

const element = (tag, className, content) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
};

async function ask(path, options = {}) {
  const key = byId("key").value;
  const headers = { "Content-Type": "application/json", ...(key ? { "X-API-Key": key } : {}) };
  const response = await fetch(path, { ...options, headers });
  const content = await response.json();
  if (!response.ok) throw Object.assign(new Error(content.detail), { status: response.status });
  return content;
}

function complain(error) {
  const problem = byId("problem");
  problem.hidden = !error;
  if (!error) return;
  byId("unlock").hidden = error.status !== 401;
  problem.textContent = error.status ? error.message : "The service does not answer. It may be starting: try again soon.";
}

async function loadModel() {
  try {
    state.model = await ask("./model");
  } catch (error) {
    byId("model").textContent = "no model yet";
    complain(error);
    if (error.status === 503 || !error.status) setTimeout(loadModel, 1500);
    return;
  }
  complain(null);
  byId("unlock").hidden = true;
  const { labels, precision, max_length: most, policies, default_policy: first, profiles, taxonomies } = state.model;
  byId("model").textContent = `${labels.length} labels · ${precision} · reads ${most} tokens`;
  policy.replaceChildren(...Object.keys(policies).map((name) => new Option(policyName(name), name, false, name === first)));
  profile.replaceChildren(...Object.keys(profiles).map((name) => new Option(name.replaceAll("_", " "), name)));
  byId("profiles").hidden = profile.options.length < 2;
  const segments = element("div", "segments");
  Object.keys(taxonomies).forEach((name, index) => {
    const label = element("label", "segment"), input = element("input");
    Object.assign(input, { type: "radio", name: "taxonomy", value: name, checked: index === 0 });
    input.addEventListener("change", read);
    label.append(input, element("span", "", taxonomyName(name)));
    segments.append(label);
  });
  byId("tones").hidden = !taxonomies.sentiment;
  byId("taxonomies").querySelector(".segments")?.remove();
  byId("taxonomies").append(segments);
  read();
}

const taxonomyName = (name) => ({ goemotions: "All 28", ekman: "Ekman", sentiment: "Sentiment", labels: "All" })[name] ?? name;
const policyName = (name) => ({ f1: "best F1 per label", global: "one threshold for all", half: "0.5 for all" })[name] ?? name.replaceAll("_", " ");

/** The sentiment of a label or of a group of labels, for its colour; none for labels of one's own. */
function tone(label, taxonomy) {
  const sentiments = state.model.taxonomies.sentiment;
  if (!sentiments) return "";
  if (taxonomy === "sentiment") return `tone-${label}`;
  const member = state.model.taxonomies[taxonomy][label][0];
  return `tone-${Object.keys(sentiments).find((name) => sentiments[name].includes(member))}`;
}

async function read() {
  clearTimeout(state.timer);
  if (!state.model) return;
  const value = text.value;
  if (!value.trim()) return clear();
  state.under?.abort();
  state.under = new AbortController();
  bars.classList.add("stale");
  const taxonomy = document.querySelector("input[name=taxonomy]:checked").value;
  const body = JSON.stringify({ text: value, profile: profile.value, policy: policy.value, taxonomy, top_k: 1000 });
  try {
    const answer = await ask("./predict", { method: "POST", body, signal: state.under.signal });
    complain(null);
    show(answer.results[0], answer.taxonomy);
  } catch (error) {
    if (error.name === "AbortError") return;
    clear();
    complain(error);
  }
}

function clear() {
  bars.replaceChildren();
  bars.classList.remove("stale");
  more.hidden = byId("cut").hidden = true;
  complain(null);
  verdict.textContent = "The emotions appear here as you type.";
  verdict.classList.add("waiting");
}

function show(result, taxonomy) {
  state.labels = result.labels.map((entry) => ({ ...entry, tone: tone(entry.label, taxonomy) }));
  const decided = state.labels.filter((entry) => entry.decided).map((entry) => entry.label);
  verdict.textContent = decided.length ? sentence(decided) : "No label reaches its threshold.";
  verdict.classList.toggle("waiting", !decided.length);
  draw();
  showCut(result);
}

const sentence = (names) => {
  const listed = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
  return listed[0].toUpperCase() + listed.slice(1);
};

function draw() {
  const few = Math.max(SHOWN, state.labels.findLastIndex((entry) => entry.decided) + 1); // every decided one
  const shown = state.all ? state.labels.length : few;
  const old = new Map([...bars.children].map((row) => [row.dataset.label, row]));
  bars.replaceChildren(...state.labels.slice(0, shown).map((entry) => row(entry, old.get(entry.label))));
  bars.classList.remove("stale");
  more.hidden = state.labels.length <= few;
  more.textContent = state.all ? "Show fewer" : `Show all ${state.labels.length}`;
  more.setAttribute("aria-expanded", String(state.all));
}

/** A bar; one that was there before is reused, so that it glides to its new length. */
function row(entry, old) {
  const made = old ?? element("li");
  if (!old) {
    const track = element("div", "track");
    track.append(element("div", "fill"), element("div", "threshold"));
    made.append(element("span", "name", entry.label), track, element("span", "value"));
    made.dataset.label = entry.label;
  }
  made.className = `row ${entry.decided ? "decided" : ""} ${entry.tone}`;
  const percent = `${(entry.probability * 100).toFixed(entry.probability < 0.1 ? 1 : 0)}%`;
  made.querySelector(".value").textContent = percent;
  made.style.setProperty("--p", entry.probability);
  made.style.setProperty("--t", entry.threshold);
  made.title = `${entry.label}: ${percent}, threshold ${(entry.threshold * 100).toFixed(0)}%`;
  made.setAttribute("aria-label", `${made.title}, ${entry.decided ? "decided" : "not decided"}`);
  return made;
}

function showCut(result) {
  const cut = byId("cut");
  cut.hidden = !result.truncated;
  if (!result.truncated) return;
  const { max_length: most, head_tokens: head } = state.model;
  const special = 2, tail = most - head - special, left = result.num_tokens - most;
  byId("cut-words").textContent =
    `A long text: the model reads its first ${head} and its last ${tail} tokens; the ${left} between are left out.`;
  for (const [name, size] of [["head", head], ["gap", left], ["tail", tail]]) cut.querySelector(`.${name}`).style.flex = size;
}

text.addEventListener("input", () => {
  byId("counter").textContent = `${text.value.length.toLocaleString("en")} characters`;
  clearTimeout(state.timer);
  state.timer = setTimeout(read, PAUSE_MS);
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) read();
});
byId("go").addEventListener("click", read);
profile.addEventListener("change", read);
policy.addEventListener("change", read);
more.addEventListener("click", () => { state.all = !state.all; draw(); });
byId("unlock").addEventListener("submit", (event) => { event.preventDefault(); state.model ? read() : loadModel(); });
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    text.value = chip.textContent;
    text.dispatchEvent(new Event("input"));
    read();
  });
}
loadModel();
