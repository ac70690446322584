// A CSV in, the same CSV with predictions out: read here, predicted in pieces.

import { byId, complain, predict, state } from "./service.js";
import { parse, write } from "./csv.js";

const PIECE = 16; // texts of one request
const PREVIEW = 200; // rows looked at to find the column of the texts
let table = null, run = null;

function take(content) {
  byId("download").hidden = true;
  const { rows, problem } = parse(content);
  table = problem || rows.length < 2 ? null : { header: rows[0], rows: rows.slice(1) };
  byId("chosen").hidden = !table;
  byId("table-words").textContent = problem ?? (table ? `${table.rows.length.toLocaleString("en")} rows.` : "No rows yet.");
  if (!table) return;
  byId("column").replaceChildren(...table.header.map((name, index) => new Option(name || `column ${index + 1}`, index)));
  byId("column").value = textColumn(table);
}

/** The column called text, else the one whose cells are longest. */
function textColumn({ header, rows }) {
  const named = header.findIndex((name) => ["text", "entry", "message", "comment", "body"].includes(name.trim().toLowerCase()));
  if (named >= 0) return named;
  const lengths = header.map((_, index) => rows.slice(0, PREVIEW).reduce((sum, row) => sum + row[index].length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

async function predictAll() {
  run = new AbortController();
  const { rows, header } = table, column = Number(byId("column").value), results = [];
  const progress = byId("progress");
  busy(true);
  try {
    for (let start = 0; start < rows.length; start += PIECE) {
      const texts = rows.slice(start, start + PIECE).map((row) => row[column]);
      results.push(...(await patiently({ texts, segments: "sentence", probabilities: true })).results);
      progress.value = results.length / rows.length;
      byId("table-words").textContent = `${results.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows.`;
    }
    byId("table-words").textContent = `All ${rows.length.toLocaleString("en")} rows are predicted${failed(results)}.`;
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
    byId("table-words").textContent = `Stopped after ${results.length} of ${rows.length} rows; those can be downloaded.`;
  }
  busy(false);
  if (results.length) offer(header, rows, results);
}

const failed = (results) => {
  const count = results.filter((result) => result.error).length;
  return count ? `; ${count} could not be read and are empty` : "";
};

/** A service that is busy says when to come back. */
async function patiently(body) {
  for (;;) {
    try {
      return await predict(body, run.signal);
    } catch (error) {
      if (error.status !== 429) throw error;
      await new Promise((done) => setTimeout(done, 1000 * (error.retryAfter || 1)));
      run.signal.throwIfAborted();
    }
  }
}

function offer(header, rows, results) {
  const names = Object.keys(results.find((result) => result.probabilities)?.probabilities ?? {});
  const added = ["predicted_labels", ...names.map((name) => `p_${name}`)];
  const lines = results.map((result, index) => [
    ...rows[index],
    result.error ? "" : result.labels.map((score) => score.label).join(","),
    ...names.map((name) => (result.error ? "" : String(result.probabilities[name]))),
  ]);
  const download = byId("download");
  URL.revokeObjectURL(download.href);
  download.href = URL.createObjectURL(new Blob([write([[...header, ...added], ...lines])], { type: "text/csv" }));
  download.hidden = false;
  download.focus();
}

function busy(is) {
  byId("progress").hidden = byId("cancel").hidden = !is;
  byId("table-go").hidden = is;
  byId("progress").value = 0;
  if (is) byId("cancel").focus();
}

const readFile = async (file) => { if (file) take(await file.text()); };

byId("file").addEventListener("change", (event) => readFile(event.target.files[0]));
byId("pasted").addEventListener("input", (event) => take(event.target.value));
byId("table-go").addEventListener("click", () => { if (state.model) predictAll(); });
byId("cancel").addEventListener("click", () => run.abort());
for (const kind of ["dragover", "drop"]) {
  byId("table").addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") readFile(event.dataTransfer.files[0]);
  });
}
byId("table").addEventListener("dragleave", () => byId("drop").classList.remove("over"));
