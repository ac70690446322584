// Policies, taxonomies and warnings in words.

const TAXONOMIES = { goemotions: "All 28", ekman: "Ekman", sentiment: "Sentiment", labels: "All" };
const POLICIES = { f1: "best F1 per label", global: "one threshold for all", half: "0.5 for all", argmax: "the most probable" };
const WARNINGS = {
  unknown_tokens: "Half of this text or more is unknown to the model.",
  other_language: "This seems to be in a language that the model was not measured on.",
  too_short: "A single word says little.",
  truncated: "The middle of this text was left out.",
};

export const taxonomyName = (name) => TAXONOMIES[name] ?? name;
export const policyName = (name) => POLICIES[name] ?? name.replaceAll("_", " ");
export const warningWords = (code) => WARNINGS[code] ?? code;

export function taxonomyWords(name, groups) {
  const names = Object.keys(groups);
  if (name === "ekman") return `Ekman's six basic emotions, and neutral: the labels in ${names.length} groups.`;
  if (name === "sentiment") return `The labels by sentiment: ${names.join(", ")}.`;
  return `${names.length} labels, each for itself; a text may have several, or none.`;
}

export function policyWords(name) {
  const [kind, value] = name.split(/[@_]/);
  const share = `${(Number(value) * 100).toFixed(0)} %`;
  if (kind === "precision") return `A label is decided where ${share} of its decisions were right: fewer labels, surer ones.`;
  if (kind === "recall") return `A label is decided so that ${share} of its texts are found: more labels, less sure.`;
  if (kind === "fixed") return `Every label is decided from a probability of ${value}.`;
  return {
    f1: "Each label has its own threshold: the one with the best balance of found and right on held-out texts.",
    global: "One threshold for all labels, the best on held-out texts.",
    half: "A label is decided where it is more probable than not.",
    argmax: "The most probable label alone is decided.",
  }[name] ?? "Thresholds of the bundle's own.";
}
