// What a model of intensities answers: a bar for each label on the model's scale, with its interval. Nothing is decided.

import { ask, byId, element } from "./service.js";

/** Intensities of one text: none of the settings of the page says anything about them. */
export const askIntensities = (text, signal) => ask("./predict", { method: "POST", body: JSON.stringify({ text }), signal });

export const scaleWords = (scale, level) =>
  `This model answers intensities from ${scale.low} to ${scale.high}, not which labels hold. `
  + `The line is an interval that holds the annotators' value ${(level * 100).toFixed(0)} times in 100, on texts like those it was measured on.`;

export function showIntensityBars(found, scale) {
  byId("more").hidden = true;
  byId("bars").replaceChildren(...found.map((entry) => bar(entry, scale)));
}

function bar(entry, { low, high }) {
  const made = element("li", "row"), track = element("div", "track"), interval = element("div", "interval");
  const share = (value) => (value - low) / (high - low);
  track.append(element("div", "fill"), interval);
  made.append(element("span", "name", entry.label), track, element("span", "value", entry.intensity.toFixed(2)));
  made.dataset.label = entry.label;
  made.style.setProperty("--p", share(entry.intensity));
  made.style.setProperty("--low", share(entry.low));
  made.style.setProperty("--high", share(entry.high));
  made.title = `${entry.label}: ${entry.intensity.toFixed(2)}, between ${entry.low.toFixed(2)} and ${entry.high.toFixed(2)}`;
  return made;
}
