"use strict";
// Judging places one by one. Names come from archives, comments from people: the script sets them only as text.
(() => {
  const review = JSON.parse(document.getElementById("review").textContent);
  const places = review.places;
  const KEPT = `crackscan-review:${review.id}`;
  const ANSWERS = { crack: "crack", no_crack: "no crack", unclear: "unclear" };
  const NEAR = 4; // places before and after that are in the page
  const AHEAD = 2; // places whose files are fetched before they are looked at
  const MOST_MISSES = 4; // a page in a mail has no folder: it asks no more
  const MOST_COMMENT = 2000;
  const MOST_FILE_BYTES = 200e6;

  const of = (id) => document.getElementById(id);
  const [who, comment, said, stage, format] = ["who", "comment", "said", "stage", "format"].map(of);
  const buttons = [...document.querySelectorAll("[data-verdict]")];
  const say = (text) => { said.textContent = text; };

  // Characters that turn a line around or show nothing, as `core.control_characters` writes them.
  const visible = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, (sign) => {
    const code = sign.charCodeAt(0);
    const byte = code >= 0xdc80 && code < 0xdd00 ? code - 0xdc00 : code; // of a name that is not UTF-8
    return { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[sign] || (byte < 256 ? `\\x${byte.toString(16).padStart(2, "0")}` : `\\u${byte.toString(16).padStart(4, "0")}`);
  });
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // ---- the work: a record for each place with a verdict or a comment; steps back; what the browser keeps
  let records = {};
  let steps = [];
  let savedAt = "";
  let current = 0;
  let isKept = true;

  const keep = () => {
    try {
      localStorage.setItem(KEPT, JSON.stringify({ who: who.value, at: current, savedAt, records }));
      isKept = true;
    } catch {
      isKept = false;
    }
  };
  const recall = () => {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) || {};
    } catch {
      isKept = false;
      return {};
    }
  };
  const clean = (record) => {
    const verdict = Object.hasOwn(ANSWERS, record.verdict) ? record.verdict : "";
    const text = (value) => (typeof value === "string" ? value : "");
    const at = Number.isNaN(Date.parse(record.judged_at)) ? "" : new Date(record.judged_at).toISOString();
    return { verdict, comment: text(record.comment).slice(0, MOST_COMMENT), by: text(record.by).slice(0, 200), judged_at: at };
  };
  const judged = () => Object.values(records).filter((record) => record.verdict);
  const unsaved = () => judged().filter((record) => record.judged_at > savedAt).length;

  // Take the records of a file, or of another window, where they are later than ours.
  const merge = (others) => {
    const changed = [];
    others.forEach(([number, record]) => {
      const ours = records[number];
      if (ours && ours.verdict && ours.judged_at >= record.judged_at) return;
      changed.push([number, ours]);
      records[number] = record;
    });
    return changed;
  };

  const now = () => { // later than all before, also when a clock was set back
    const last = judged().reduce((latest, record) => (record.judged_at > latest ? record.judged_at : latest), savedAt);
    const at = new Date().toISOString();
    return at > last || last === "" ? at : new Date(Date.parse(last) + 1).toISOString();
  };

  const change = (number, values) => {
    const before = records[number];
    steps.push([[number, before]]);
    records[number] = { verdict: "", comment: "", ...before, ...values, by: who.value.trim(), judged_at: now() };
    keep();
  };

  const undo = () => {
    const step = steps.pop();
    if (!step) { say("There is nothing to undo."); return; }
    step.forEach(([number, before]) => {
      if (before === undefined) delete records[number];
      else records[number] = before;
    });
    show(step[0][0], "Undone. ");
  };

  // ---- what is shown
  const wordOf = (number) => {
    const record = records[number];
    return record && record.verdict ? ANSWERS[record.verdict] : "not judged";
  };
  const nameOf = (place) => visible(place.image);
  const strip = Array.from({ length: 2 * NEAR + 1 }, (_, offset) => {
    const button = document.createElement("button");
    const image = document.createElement("img");
    const text = document.createElement("span");
    image.alt = "";
    button.type = "button";
    button.append(image, text);
    button.addEventListener("click", () => show(current + offset - NEAR));
    of("near").append(button);
    return { button, image, text, offset: offset - NEAR };
  });

  const setSource = (image, source) => {
    if (source) image.src = source;
    else image.removeAttribute("src");
  };

  let misses = 0; // files in a row that were not beside the page

  // Show the small picture at once, and the file beside the page when it is there.
  const showPicture = (figure, number, kind, alt) => {
    const place = places[number];
    const image = figure.querySelector("img");
    const box = kind === 0 ? place.box : place.around;
    figure.querySelector(".stack").style.setProperty("--ratio", `${box[2] / box[3]}`);
    image.alt = alt;
    setSource(image, place.small[kind]);
    if (!place.files[kind]) return;
    if (misses >= MOST_MISSES) { of("small").hidden = false; return; }
    const file = new Image();
    file.addEventListener("load", () => { misses = 0; if (number === current) image.src = file.src; });
    file.addEventListener("error", () => { misses += 1; if (number === current) of("small").hidden = false; });
    file.src = place.files[kind];
  };

  const showLines = (figure, place, box) => {
    const svg = figure.querySelector("svg");
    svg.setAttribute("viewBox", `${box[0] - place.around[0]} ${box[1] - place.around[1]} ${box[2]} ${box[3]}`);
    svg.replaceChildren(...place.lines.map((line) => {
      const path = document.createElementNS(svg.namespaceURI, "path");
      path.setAttribute("d", line.path);
      path.setAttribute("stroke", line.colour);
      if (!line.through) path.setAttribute("class", "beside");
      return path;
    }));
  };

  const showStrip = () => strip.forEach(({ button, image, text, offset }) => {
    const number = current + offset;
    button.hidden = !(number in places);
    if (button.hidden) return;
    setSource(image, places[number].small[0]);
    text.textContent = wordOf(number);
    button.setAttribute("aria-label", `Place ${number + 1}: ${wordOf(number)}`);
    button.setAttribute("aria-current", String(offset === 0));
  });

  const showProgress = () => {
    const done = judged().length;
    of("progress").value = done;
    of("count").textContent = `${done.toLocaleString("en")} of ${count(places.length, "place")} judged`;
    const left = unsaved();
    of("unsaved").textContent = (left ? `${left.toLocaleString("en")} not saved as a file yet` : "") + (isKept ? "" : " (this browser keeps nothing: save before you close the page)");
    of("undo").disabled = steps.length === 0;
  };

  const facts = (place) => {
    const [left, top, width, height] = place.box;
    return `Place ${current + 1} of ${places.length.toLocaleString("en")}: ${width} × ${height} pixels, ${left} from the left and ${top} from the top of its photo; score ${place.score.toFixed(3)}, threshold ${review.threshold.toFixed(3)}${place.doubt ? `; ${place.doubt}` : ""}. ${visible(place.archive)}`;
  };

  const show = (number, before = "") => {
    current = Math.max(0, Math.min(places.length - 1, number));
    const place = places[current];
    const record = records[current];
    const small = of("small");
    small.hidden = true;
    of("place-name").textContent = nameOf(place);
    of("place-facts").textContent = facts(place);
    showPicture(of("tile"), current, 0, `The tile of ${nameOf(place)} to judge`);
    showLines(of("tile"), place, place.box);
    const around = of("around");
    if (around) {
      showPicture(around, current, 1, `Surroundings of the tile in ${nameOf(place)}`);
      showLines(around, place, place.around);
      const [[left, top, width, height], [x, y, wide, high]] = [place.box, place.around];
      const share = (part, whole) => `${(100 * part) / whole}%`;
      Object.assign(around.querySelector(".frame").style, { left: share(left - x, wide), top: share(top - y, high), width: share(width, wide), height: share(height, high) });
    }
    const through = place.lines.filter((line) => line.through);
    of("cracks").textContent = place.lines.length === 0 ? "No crack was measured here." : `${through.length ? "" : "No measured crack runs through the tile. "}${through.map((line) => `Crack ${line.crack}: width ${line.width}.`).join(" ")} Dashed lines run beside the tile.`;
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(Boolean(record) && record.verdict === button.dataset.verdict)));
    comment.value = record ? record.comment : "";
    showStrip();
    showProgress();
    keep();
    say(`${before}Place ${current + 1} of ${places.length.toLocaleString("en")}, ${wordOf(current)}: ${nameOf(place)}`);
    for (let next = current + 1; next <= current + AHEAD && next < places.length && misses < MOST_MISSES; next += 1) {
      places[next].files.forEach((file) => { if (file) new Image().src = file; });
    }
  };

  const answer = (verdict) => {
    const number = current;
    change(number, { verdict, comment: comment.value.slice(0, MOST_COMMENT) });
    const word = `${ANSWERS[verdict][0].toUpperCase()}${ANSWERS[verdict].slice(1)}. `;
    if (judged().length === places.length) show(number + 1, `${word}All places are judged: save them. `);
    else show(number + 1, number + 1 < places.length ? word : `${word}This is the last place; ${count(places.length - judged().length, "place")} not judged. `);
  };

  const takeComment = () => {
    const text = comment.value.slice(0, MOST_COMMENT);
    const record = records[current];
    if (text === (record ? record.comment : "")) return;
    change(current, { comment: text });
    showProgress();
  };

  const showOpen = () => {
    const order = places.map((_, step) => (current + 1 + step) % places.length);
    const open = order.find((number) => !(records[number] && records[number].verdict));
    if (open === undefined) say("All places are judged.");
    else show(open);
  };

  const switchLines = () => {
    const lined = document.body.classList.toggle("lined");
    of("lines").setAttribute("aria-pressed", String(lined));
    of("cracks").hidden = !lined;
    say(lined ? `Crack lines on. ${of("cracks").textContent}` : "Crack lines off.");
  };

  // ---- the file
  const COLUMNS = ["image_id", "archive", "image", "subject", "left_px", "top_px", "width_px", "height_px", "cracks", "verdict", "comment", "by", "judged_at", "pick", "weight", "crack_score", "tile"];
  const PLAIN = new Set(["left_px", "top_px", "width_px", "height_px", "cracks", "judged_at", "weight", "crack_score"]);
  const keyOf = (row) => [row.image_id, row.left_px, row.top_px, row.width_px, row.height_px].map(String).join("\n");
  // A spreadsheet runs a cell that begins so as a formula: see `core.spreadsheets`.
  const GUARDED = /^[=+\-@\t\r\n＝＋－＠]|^[0-9]+([eE][0-9]+)?\n?$/;
  const guard = (text) => (GUARDED.test(text) ? `'${text}` : text);
  const unguard = (text) => (text.startsWith("'") && GUARDED.test(text.slice(1)) ? text.slice(1) : text);

  const rowOf = (number) => {
    const place = places[number];
    const record = records[number];
    const [left_px, top_px, width_px, height_px] = place.box;
    return { image_id: place.image_id, archive: place.archive, image: place.image, subject: "tile", left_px, top_px, width_px, height_px, cracks: place.cracks, verdict: record.verdict, comment: record.comment, by: record.by || who.value.trim(), judged_at: record.judged_at, pick: place.pick, weight: place.weight, crack_score: place.score, tile: place.files[0] };
  };
  const rowsOf = () => Object.keys(records).map(Number).sort((a, b) => a - b).filter((number) => records[number].verdict).map(rowOf);

  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (row, column) => {
    const text = row[column] === null ? "" : String(row[column]);
    return quote(PLAIN.has(column) ? text : guard(text));
  };
  const toCsv = (rows) => [COLUMNS.join(","), ...rows.map((row) => COLUMNS.map((column) => cell(row, column)).join(",")), ""].join("\n");
  const toJson = (rows) => `${JSON.stringify(rows, null, 1)}\n`;

  const parseCsv = (text) => {
    const head = text.slice(0, text.search(/[\r\n]|$/));
    const separator = [",", ";", "\t"].reduce((best, sign) => (head.split(sign).length > head.split(best).length ? sign : best));
    const rows = [[]];
    let value = "";
    let quoted = false;
    for (let at = 0; at < text.length; at += 1) {
      const sign = text[at];
      if (quoted && sign === '"' && text[at + 1] === '"') { value += '"'; at += 1; }
      else if (sign === '"' && (quoted || value === "")) quoted = !quoted;
      else if (quoted || !(sign === separator || sign === "\n" || sign === "\r")) value += sign;
      else {
        rows.at(-1).push(value);
        value = "";
        if (sign === "\r" && text[at + 1] === "\n") at += 1;
        if (sign !== separator) rows.push([]);
      }
    }
    rows.at(-1).push(value);
    const [columns, ...others] = rows.filter((row) => row.length > 1 || row[0] !== "");
    return others.map((row) => Object.fromEntries(columns.map((column, index) => [column, unguard(row[index] || "")])));
  };

  const parse = (text) => {
    const body = text.replace(/^\ufeff/, "");
    if (!/^\s*\[/.test(body)) return body.trim() ? parseCsv(body) : [];
    return JSON.parse(body).filter((row) => row !== null && typeof row === "object");
  };

  const take = async (file) => {
    let rows;
    try {
      if (file.size > MOST_FILE_BYTES) throw new Error(`it has ${count(file.size, "byte")}, far more than verdicts have`);
      rows = parse(await file.text());
    } catch (error) {
      say(`${visible(file.name)} cannot be read: ${error.message}. Expected a file that this page saved.`);
      return;
    }
    const numbers = new Map(places.map((place, number) => {
      const [left_px, top_px, width_px, height_px] = place.box;
      return [keyOf({ image_id: place.image_id, left_px, top_px, width_px, height_px }), number];
    }));
    const found = rows.map((row) => [numbers.get(keyOf(row)), clean(row)]).filter(([number, record]) => number !== undefined && record.verdict && record.judged_at);
    const changed = merge(found);
    if (changed.length) steps.push(changed);
    if (changed.length === judged().length) savedAt = found.reduce((latest, [, record]) => (record.judged_at > latest ? record.judged_at : latest), savedAt);
    const others = rows.length - found.length;
    if (!rows.length || !found.length) say(`${visible(file.name)} has no verdict about a place of this page. Expected a file that this page saved.`);
    else show(firstOpen(), `${count(changed.length, "verdict")} taken from ${visible(file.name)}${changed.length < found.length ? `; ${count(found.length - changed.length, "place")} had the same or a later one` : ""}${others ? `; ${count(others, "row")} about other places left out` : ""}. `);
  };

  const firstOpen = () => {
    const open = places.findIndex((_, number) => !(records[number] && records[number].verdict));
    return open === -1 ? 0 : open;
  };

  let handle = null; // of the file that was saved last

  const KINDS = { csv: { description: "Verdicts as CSV", accept: { "text/csv": [".csv"] } }, json: { description: "Verdicts as JSON", accept: { "application/json": [".json"] } } };
  const isJson = (name) => name.toLowerCase().endsWith(".json");

  const write = async (rows) => {
    const wanted = format.value;
    if (!handle || isJson(handle.name) !== (wanted === "json")) {
      handle = await window.showSaveFilePicker({ id: "crackscan-verdicts", suggestedName: `verdicts.${wanted}`, types: [KINDS[wanted]] });
    }
    const stream = await handle.createWritable();
    await stream.write(isJson(handle.name) ? toJson(rows) : toCsv(rows));
    await stream.close();
    return handle.name;
  };

  const download = (rows) => {
    const name = `verdicts.${format.value}`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([isJson(name) ? toJson(rows) : toCsv(rows)], { type: Object.keys(KINDS[format.value].accept)[0] }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    return name;
  };

  const save = async () => {
    takeComment();
    const rows = rowsOf();
    if (!rows.length) { say("Nothing is judged yet."); return; }
    const at = rows.reduce((latest, row) => (row.judged_at > latest ? row.judged_at : latest), "");
    let name;
    try {
      name = window.showSaveFilePicker ? await write(rows) : download(rows);
    } catch (error) {
      if (error.name === "AbortError") { say("Not saved."); return; }
      handle = null;
      name = download(rows); // a page within another may not ask for a file
    }
    savedAt = at;
    keep();
    showProgress();
    const alone = Object.values(records).filter((record) => !record.verdict && record.comment).length;
    say(`${count(rows.length, "verdict")} saved as ${visible(name)}.${rows.some((row) => !row.by) ? " They have no name: fill in yours and save again, or give it to crackscan verdicts." : ""}${alone ? ` ${count(alone, "comment")} without a verdict left out.` : ""}`);
  };

  // ---- keys, buttons, files
  const KEYS = { 1: () => answer("crack"), 0: () => answer("no_crack"), "?": () => answer("unclear"), ArrowLeft: () => step(-1), ArrowRight: () => step(1), c: () => comment.focus(), u: undo, l: switchLines, n: () => step(0), s: save };
  const step = (by) => {
    takeComment();
    if (by === 0) showOpen();
    else if (current + by in places) show(current + by);
    else say(by < 0 ? "This is the first place." : "This is the last place.");
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input:not([type=checkbox], [type=file]), select, textarea");
    if (event.target === comment && (event.key === "Enter" || event.key === "Escape")) {
      event.preventDefault();
      takeComment();
      stage.focus();
      return;
    }
    if (isTyping || event.isComposing) return;
    const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
    if (!isUndo && (event.ctrlKey || event.metaKey || event.altKey || !of("keys").checked)) return;
    const act = isUndo ? undo : Object.hasOwn(KEYS, event.key) && KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  buttons.forEach((button) => button.addEventListener("click", () => answer(button.dataset.verdict)));
  Object.entries({ previous: () => step(-1), next: () => step(1), open: () => step(0), undo, lines: switchLines, save }).forEach(([id, act]) => of(id).addEventListener("click", act));
  comment.addEventListener("change", takeComment);
  who.addEventListener("change", keep);
  of("saved").addEventListener("change", (event) => { if (event.target.files.length) take(event.target.files[0]); event.target.value = ""; });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  window.addEventListener("storage", (event) => { // another window of this page
    if (event.key !== KEPT || !event.newValue) return;
    const others = Object.entries(JSON.parse(event.newValue).records || {}).map(([number, record]) => [Number(number), clean(record)]);
    if (merge(others.filter(([number]) => number in places)).length) { showStrip(); showProgress(); }
  });
  window.addEventListener("beforeunload", (event) => { takeComment(); if (!isKept && unsaved()) event.preventDefault(); });

  const kept = recall();
  Object.entries(kept.records || {}).forEach(([number, record]) => { if (number in places) records[number] = clean(record); });
  who.value = typeof kept.who === "string" ? kept.who : "";
  savedAt = typeof kept.savedAt === "string" ? kept.savedAt : "";
  show(Number.isInteger(kept.at) ? kept.at : 0, judged().length ? `Your work is still here: ${count(judged().length, "verdict")}. ` : "");
})();
