// CSV as RFC 4180 has it, with commas, semicolons or tabs.

/** Rows of cells, or the problem in words: a row with other cells than the header is none that could be guessed. */
export function parse(content) {
  const text = content.replace(/^\ufeff/, "");
  const head = text.split(/\r?\n/, 1)[0];
  const separator = [",", ";", "\t"].map((each) => [head.split(each).length, each]).sort((a, b) => b[0] - a[0])[0][1];
  const rows = [];
  let row = [], cell = "", quoted = false, line = 1;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || row[0] !== "") rows.push({ row, line });
    row = []; cell = "";
  };
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') { cell += '"'; at += 1; }
      else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === separator) { row.push(cell); cell = ""; }
    else if (sign === "\n") endRow();
    else if (sign !== "\r" || text[at + 1] !== "\n") cell += sign;
    if (sign === "\n") line += 1;
  }
  if (quoted) return { rows: [], problem: "A quotation mark is never closed." };
  if (cell !== "" || row.length) endRow();
  const odd = rows.find((each) => each.row.length !== rows[0].row.length);
  if (odd) return { rows: [], problem: `Row ending in line ${odd.line} has ${odd.row.length} cells, the first row ${rows[0].row.length}.` };
  return { rows: rows.map((each) => each.row) };
}

export const write = (rows) => rows.map((row) => row.map(quote).join(",")).join("\r\n") + "\r\n";

const quote = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
