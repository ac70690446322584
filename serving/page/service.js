// What is asked of the service, and what the model is: shared by every view.

export const byId = (id) => document.getElementById(id);
export const state = { model: null };

export const element = (tag, className, content) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
};

export async function ask(path, options = {}) {
  const key = byId("key").value;
  const headers = { "Content-Type": "application/json", ...(key ? { "X-API-Key": key } : {}) };
  const response = await fetch(path, { ...options, headers });
  const content = await response.json();
  if (!response.ok) {
    const retryAfter = Number(response.headers.get("Retry-After"));
    throw Object.assign(new Error(content.detail), { status: response.status, retryAfter });
  }
  return content;
}

/** Results of texts, decided as the settings of the page say. */
export async function predict(body, signal) {
  const taxonomy = document.querySelector("input[name=taxonomy]:checked").value;
  const decided = { profile: byId("profile").value, policy: byId("policy").value, taxonomy };
  return ask("./predict", { method: "POST", body: JSON.stringify({ ...decided, ...body }), signal });
}

export function complain(error) {
  const problem = byId("problem");
  problem.hidden = !error;
  if (!error) return;
  byId("unlock").hidden = error.status !== 401;
  problem.textContent = error.status ? error.message : "The service does not answer. It may be starting: try again soon.";
}

/** The sentiment of a label or of a group of labels, for its colour; none for labels of one's own. */
export function tone(label) {
  const taxonomy = document.querySelector("input[name=taxonomy]:checked").value;
  const sentiments = state.model.taxonomies.sentiment;
  if (!sentiments) return "";
  if (taxonomy === "sentiment") return `tone-${label}`;
  const member = state.model.taxonomies[taxonomy][label][0];
  return `tone-${Object.keys(sentiments).find((name) => sentiments[name].includes(member))}`;
}

export const percent = (p) => `${(p * 100).toFixed(p < 0.1 ? 1 : 0)}%`;

export const listed = (names) =>
  names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];

/** Offsets of the service count code points; JavaScript's count UTF-16 units. */
export const slicer = (text) => {
  const points = Array.from(text);
  return (start, end) => points.slice(start, end).join("");
};
