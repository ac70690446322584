// Where to start reading: the text is read as it is typed, and the views take turns.

import { clearBars, showBars, showTimeline } from "./bars.js";
import { context, offerContext, whenContextChanges, writeBefore, writtenBefore } from "./context.js";
import { clearEntry, showEntry } from "./entry.js";
import { remember, whenOpened } from "./history.js";
import { askIntensities, scaleWords, showIntensityBars } from "./intensities.js";
import { ask, byId, complain, element, listed, predict, state } from "./service.js";
import { policyName, policyWords, taxonomyName, taxonomyWords, warningWords } from "./words.js";
import "./compare.js";
import "./table.js";

const PAUSE_MS = 350; // a pause in typing after which the text is read
const text = byId("text"), policy = byId("policy"), profile = byId("profile"), verdict = byId("verdict");
const NAMED = 5; // labels named above the entry
let timer = 0, under = null;

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
  offerContext(state.model.context);
  if (state.model.task === "intensity") return showIntensityModel();
  const { labels, precision, policies, default_policy: first, profiles, taxonomies } = state.model;
  byId("model").textContent = `${labels.length} labels · ${precision}`;
  policy.replaceChildren(...Object.keys(policies).map((name) => new Option(policyName(name), name, false, name === first)));
  profile.replaceChildren(...Object.keys(profiles).map((name) => new Option(name.replaceAll("_", " "), name)));
  byId("profiles").hidden = profile.options.length < 2;
  byId("tones").hidden = !taxonomies.sentiment;
  byId("taxonomies").querySelector(".segments")?.remove();
  byId("taxonomies").append(choices(Object.keys(taxonomies)));
  explainSettings();
  read();
}

/** A model of intensities decides nothing: no settings, no comparison of labels, no table of decisions. */
function showIntensityModel() {
  const { labels, precision, scale, intervals } = state.model;
  byId("model").textContent = `${labels.length} intensities · ${precision}`;
  document.body.classList.add("graded");
  for (const hidden of document.querySelectorAll("[data-view=compare], [data-view=table], .settings, .thresholds")) hidden.hidden = true;
  byId("scale-words").textContent = scaleWords(scale, intervals.level);
  byId("scale-words").hidden = false;
  read();
}

function choices(names) {
  const made = element("div", "segments");
  names.forEach((name, index) => {
    const label = element("label", "segment"), input = element("input");
    Object.assign(input, { type: "radio", name: "taxonomy", value: name, checked: index === 0 });
    input.addEventListener("change", settingsChanged);
    label.append(input, element("span", "", taxonomyName(name)));
    made.append(label);
  });
  return made;
}

function explainSettings() {
  const taxonomy = document.querySelector("input[name=taxonomy]:checked").value;
  byId("taxonomy-words").textContent = taxonomyWords(taxonomy, state.model.taxonomies[taxonomy]);
  byId("policy-words").textContent = policyWords(policy.value);
}

function settingsChanged() {
  explainSettings();
  read();
}

/** Read what is typed; `kept` when somebody asked for it, so that it goes into the history. */
async function read({ kept = false } = {}) {
  clearTimeout(timer);
  const value = text.value;
  document.body.classList.toggle("has-text", Boolean(value.trim()));
  if (!state.model) return;
  if (!value.trim()) return clear();
  under?.abort();
  under = new AbortController();
  byId("bars").classList.add("stale");
  try {
    if (state.model.task === "intensity") {
      const { results } = await askIntensities(value, under.signal);
      complain(null);
      showIntensities(results[0]);
      if (kept) remember(value, verdict.textContent);
      return;
    }
    const asked = { text: value, ...context() };
    const { results } = await predict({ ...asked, segments: "sentence", top_k: 1000 }, under.signal);
    complain(null);
    show(asked, results[0]);
    if (kept) remember(value, verdict.textContent, writtenBefore());
  } catch (error) {
    if (error.name === "AbortError") return;
    clear();
    complain(error);
  }
}

function clear() {
  clearBars();
  clearEntry();
  showTimeline(null);
  showWarnings([]);
  byId("bars").classList.remove("stale");
  complain(null);
  verdict.textContent = "The emotions appear here as you type.";
  verdict.classList.add("waiting");
}

function showIntensities(result) {
  const [first] = result.intensities;
  verdict.textContent = `Most intense: ${first.label}, ${first.intensity.toFixed(2)}.`;
  verdict.classList.remove("waiting");
  byId("bars").classList.remove("stale");
  showWarnings(result.warnings);
  clearEntry();
  showIntensityBars(result.intensities, state.model.scale);
}

function show(asked, result) {
  const decided = result.labels.filter((entry) => entry.decided).map((entry) => entry.label);
  verdict.textContent = decided.length ? upper(listed(few(decided))) : `Probably ${result.probably.label}, but below its threshold.`;
  verdict.classList.toggle("waiting", !decided.length);
  byId("bars").classList.remove("stale");
  showWarnings(result.warnings);
  showEntry(asked, result.segments);
  showBars(result.labels);
  showTimeline(result.timeline);
}

const few = (names) => (names.length > NAMED ? [...names.slice(0, NAMED), `${names.length - NAMED} more`] : names);
const upper = (words) => words[0].toUpperCase() + words.slice(1);

function showWarnings(codes) {
  byId("warnings").hidden = !codes.length;
  byId("warnings").replaceChildren(...codes.map((code) => element("li", "", warningWords(code))));
}

function look(view) {
  for (const button of document.querySelectorAll("[data-view]")) {
    if (button.dataset.view === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    byId(button.dataset.view).hidden = button.dataset.view !== view;
  }
}

function open(value, before = "") {
  look("read");
  writeBefore(before);
  text.value = value;
  text.dispatchEvent(new Event("input"));
  read({ kept: true });
}

function readSoon() {
  clearTimeout(timer);
  timer = setTimeout(read, PAUSE_MS);
}

text.addEventListener("input", () => {
  byId("counter").textContent = `${text.value.length.toLocaleString("en")} characters`;
  readSoon();
});
whenContextChanges(readSoon);
for (const field of [text, byId("before-lines")]) {
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) read({ kept: true });
  });
}
byId("go").addEventListener("click", () => read({ kept: true }));
policy.addEventListener("change", settingsChanged);
profile.addEventListener("change", settingsChanged);
byId("unlock").addEventListener("submit", (event) => { event.preventDefault(); state.model ? read() : loadModel(); });
for (const chip of document.querySelectorAll("#examples .chip")) chip.addEventListener("click", () => open(chip.textContent));
for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => look(button.dataset.view));
whenOpened(open);
loadModel();
