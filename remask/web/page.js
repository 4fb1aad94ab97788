"use strict";
// Replays the recorded run in #data: the same lines as a trace file. Token text only ever becomes text nodes.
const run = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const RAMP = ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"];
const start = run.header.tokens, length = start.length, steps = run.steps;
const given = new Uint8Array(length), unused = new Uint8Array(length), edges = new Set((run.header.blocks || []).slice(1).map((b) => b[0]));
for (const [a, b] of run.header.given || []) given.fill(1, a, b);
for (const [a, b] of (run.end && run.end.unused) || []) unused.fill(1, a, b);
const guesses = steps.map((s) => new Map((s.guesses || []).map(([p, t, c]) => [p, { token: t, confidence: c / 255 }])));
const asked = [...start.keys()].filter((p) => !given[p]);
let now = steps.length, seen = asked.length ? asked[0] : 0, timer = null;

function colour(share) {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1), low = Math.min(Math.floor(at), RAMP.length - 2);
  const [a, b] = [RAMP[low], RAMP[low + 1]].map((h) => [1, 3, 5].map((i) => parseInt(h.slice(i, i + 2), 16)));
  return a.map((x, i) => Math.round(x + (b[i] - x) * (at - low)));
}
const css = (rgb) => `rgb(${rgb.join(" ")})`;
const ink = (rgb) => {
  const l = rgb.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2] < 0.179 ? "#fff" : "#000";
};
const percent = (x) => (x >= 0.995 && x < 0.9995 ? ">99" : Math.round(100 * x)) + "\u00a0%";
const piece = (t) => (run.glyphs[t] !== undefined ? run.glyphs[t] : `⟨${t}⟩`);
const visible = (text) => text.replace(/^ +| +$/g, (s) => "␣".repeat(s.length));
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name === "style" ? Object.assign(node.style, value) : node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The canvas after `n` steps: one cell a position.
function at(n) {
  const cells = start.map((token, p) => ({ token, state: given[p] ? "given" : "masked", confidence: 0, born: 0, fresh: false }));
  for (let i = 0; i < n; i++) {
    for (const [p, token, state, level] of steps[i].changes) {
      Object.assign(cells[p], { token, state, confidence: level / 255, born: state === "masked" ? 0 : i + 1, fresh: i === n - 1 });
    }
  }
  if (n) for (const [p, guess] of guesses[n - 1]) if (cells[p].state === "masked") Object.assign(cells[p], guess, { state: "draft" });
  if (n === steps.length) cells.forEach((cell, p) => { if (unused[p]) Object.assign(cell, { state: "unused", fresh: false }); });
  return cells;
}
const left = Array.from({ length: steps.length + 1 }, (_, n) => at(n).filter((c) => c.state === "masked" || c.state === "draft" || (c.state === "unused" && !c.born)).length);
const never = at(steps.length).filter((c) => c.state === "unused" && !c.born).length;

function drawCanvas(cells) {
  const parts = [];
  cells.forEach((cell, p) => {
    if (edges.has(p)) parts.push(make("span", { class: "edge", title: "a block begins" }));
    const masked = cell.state === "masked", whole = masked ? "\u00a0\u00a0\u00a0" : piece(cell.token), text = whole.replace(/^ +(?=\S)/, "");
    parts.push(whole.length > text.length ? " " : make("wbr"));
    const node = make("span", { class: `t ${cell.state}${cell.fresh && !masked ? " fresh" : ""}${text.startsWith("⟨") ? " special" : ""}${p === seen ? " seen" : ""}`, "data-p": p }, text);
    if (!masked) {
      const rgb = colour(cell.confidence);
      node.style.setProperty("--c", css(rgb));
      node.style.setProperty("--k", ink(rgb));
      node.style.setProperty("--p", cell.confidence.toFixed(3));
    }
    parts.push(node);
    const next = cells[p + 1], again = next && next.state !== "masked" && /^⏎+$/.test(piece(next.token)) && text.endsWith("⏎");
    if (!masked && cell.state !== "draft" && text.includes("⏎") && !again) parts.push(make("br"));
  });
  $("canvas").replaceChildren(...parts);
}

function drawInspector(cells) {
  const cell = cells[seen], box = $("inspector"), open = cell.state === "masked" || cell.state === "draft";
  const told = { given: "given, never changed", masked: "[MASK], not guessed yet", draft: `still [MASK]; this guess is ${percent(cell.confidence)} sure`, unused: "behind the end of the answer" }[cell.state]
    || `decided in step ${cell.born}, ${percent(cell.confidence)} sure`;
  const parts = [make("p", { class: "soft" }, `position ${seen}`), make("b", { class: "big" }, cell.state === "masked" ? "[MASK]" : visible(piece(cell.token))), make("p", {}, told)];
  const from = open ? now : cell.born, top = from ? (steps[from - 1].top || {})[seen] : null;
  if (top) {
    const rows = make("div", { class: "tops" });
    for (const [token, share] of top) {
      const picked = token === cell.token ? "picked" : "";
      rows.append(make("code", { class: picked }, visible(piece(token))), make("i", { style: { width: `${100 * share}%`, background: css(colour(share)) } }), make("span", { class: picked }, percent(share)));
    }
    parts.push(make("p", { class: "soft" }, `the likeliest tokens in step ${from}`), rows);
  }
  const history = steps.map((_, i) => [i + 1, guesses[i].get(seen)]).filter(([, guess]) => guess);
  if (history.length > 1) parts.push(make("p", { class: "soft" }, "confidence of its guess, step by step"), spark(history), make("p", { class: "soft" }, flips(history)));
  box.replaceChildren(...parts);
}

function spark(history) {
  const W = 200, H = 46, n = steps.length, x = (s) => (n > 1 ? ((s - 1) / (n - 1)) * W : W / 2), y = (c) => H - 4 - c * (H - 8);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (tag, attributes) => { const node = document.createElementNS(svg.namespaceURI, tag); for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v); svg.append(node); };
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`); svg.setAttribute("class", "spark"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("aria-hidden", "true");
  add("line", { x1: 0, x2: W, y1: H - 4, y2: H - 4, stroke: "var(--line)" });
  if (now) add("line", { x1: x(now), x2: x(now), y1: 0, y2: H, stroke: "var(--muted)", "stroke-dasharray": "2 3" });
  add("polyline", { points: history.map(([s, g]) => `${x(s).toFixed(1)},${y(g.confidence).toFixed(1)}`).join(" "), fill: "none", stroke: "var(--accent)", "stroke-width": 2, "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" });
  return svg;
}
function flips(history) {
  const said = history.map(([, g]) => visible(piece(g.token))).filter((text, i, all) => text !== all[i - 1]);
  return said.length > 6 ? [...said.slice(0, 2), "…", ...said.slice(-3)].join(" → ") : said.join(" → ");
}

// The map: a row a step, a column an asked position; the margin shows how much is still [MASK].
let geometry = null;
function drawMap() {
  const node = $("map"), ratio = window.devicePixelRatio || 1, width = node.parentElement.clientWidth;
  const label = 34, margin = Math.min(130, width * 0.16), rows = Math.max(1, steps.length), columns = Math.max(1, asked.length);
  const w = Math.min(58, (width - label - margin) / columns), h = Math.max(2, Math.min(20, 380 / rows)), gap = w > 6 && h > 6 ? 1.5 : 0;
  const height = rows * h + 24;
  geometry = { label, w, h, rows, columns };
  node.width = width * ratio; node.height = height * ratio; node.style.height = `${height}px`;
  const c = node.getContext("2d"), style = getComputedStyle(document.documentElement), v = (name) => style.getPropertyValue(name).trim();
  c.scale(ratio, ratio); c.clearRect(0, 0, width, height); c.font = `10px ${v("--sans")}`; c.textBaseline = "middle";
  const column = new Map(asked.map((p, i) => [p, i])), decided = new Map();
  for (let i = 0; i < steps.length; i++) {
    const y = i * h, told = new Set();
    c.globalAlpha = i < now ? 1 : 0.22;
    for (const [p, , state, level] of steps[i].changes) { told.add(p); state === "masked" ? decided.delete(p) : decided.set(p, level / 255); }
    asked.forEach((p, k) => {
      const x = label + k * w, guess = guesses[i].get(p);
      if (decided.has(p)) {
        const fresh = told.has(p);
        c.globalAlpha = (i < now ? 1 : 0.22) * (unused[p] ? 0.35 : 1) * (fresh ? 1 : 0.42);
        c.fillStyle = css(colour(decided.get(p))); c.fillRect(x, y, w - gap, h - gap);
        c.globalAlpha = i < now ? 1 : 0.22;
      } else {
        c.fillStyle = v("--hole"); c.fillRect(x, y, w - gap, h - gap);
        if (guess && gap) { c.fillStyle = v("--muted"); c.beginPath(); c.arc(x + (w - gap) / 2, y + (h - gap) / 2, 0.6 + (Math.min(w, h) / 2 - 2.2) * Math.sqrt(guess.confidence), 0, 7); c.fill(); }
      }
    });
    c.fillStyle = v("--muted"); c.fillRect(label + columns * w + 12, y + h * 0.2, Math.max(1, (margin - 20) * (left[i + 1] / Math.max(1, asked.length))), Math.max(1, h * 0.6 - gap));
    if (i === 0 || i === steps.length - 1 || (h > 11 ? true : (i + 1) % Math.ceil(24 / h) === 0)) { c.textAlign = "right"; c.fillText(String(i + 1), label - 8, y + h / 2); }
  }
  c.globalAlpha = 1; c.strokeStyle = v("--ink"); c.lineWidth = 1.5;
  if (now) c.strokeRect(label - 1.5, (now - 1) * h - 1, columns * w + 2, h + 1);
  if (column.has(seen)) c.strokeRect(label + column.get(seen) * w - 1, -1, w + 1, rows * h + 1);
  c.fillStyle = v("--muted"); c.textAlign = "right"; c.fillText("step", label - 8, rows * h + 13);
  c.textAlign = w > 22 ? "center" : "left"; c.font = `${w > 22 ? 11 : 10}px ${v(w > 22 ? "--mono" : "--sans")}`;
  const last = at(steps.length), fit = (text) => (text.length * 6.7 <= w ? text : text.slice(0, Math.max(1, Math.floor(w / 6.7) - 1)) + "…");
  if (w > 22) asked.forEach((p, k) => c.fillText(last[p].state === "masked" ? "·" : fit(piece(last[p].token).trim()), label + (k + 0.5) * w, rows * h + 13));
  else c.fillText(`positions ${asked[0]} to ${asked[asked.length - 1]}`, label, rows * h + 13);
}

function draw(speak = false) {
  const cells = at(now), step = now ? steps[now - 1] : null;
  drawCanvas(cells); drawInspector(cells); drawMap();
  $("scrubber").value = now;
  const fresh = step ? step.changes.filter((c) => c[2] !== "masked").map(([p, t, , l]) => `${visible(piece(t))} at ${p}, ${percent(l / 255)}`) : [];
  const blocks = (run.header.blocks || []).length;
  $("where").replaceChildren(make("b", {}, now ? `Step ${now} of ${steps.length}` : `Before step 1 of ${steps.length}`),
    [blocks > 1 && step ? ` · block ${step.block + 1} of ${blocks}` : "", now === steps.length && never ? ` · ${never} never needed, the answer had ended` : ` · ${left[now]} still [MASK]`, step ? ` · ${step.forwards} forward pass${step.forwards === 1 ? "" : "es"}` : "", fresh.length ? ` · decided: ${fresh.slice(0, 4).join("; ")}${fresh.length > 4 ? " …" : ""}` : ""].join(""));
  if (speak) $("spoken").textContent = now ? `step ${now}: ${fresh.join("; ") || "nothing decided"}` : "before the first step";
  try { history.replaceState(null, "", `#step=${now}`); } catch { /* a frame without an address of its own */ }
}
const clamp = (n) => Math.max(0, Math.min(steps.length, n));
function go(n, speak = true) { now = clamp(n); draw(speak); }
function playing(on) { const button = document.querySelector(".play"); button.classList.toggle("on", on); button.setAttribute("aria-label", on ? "pause" : "play"); }
function stop() { clearInterval(timer); timer = null; playing(false); }
function play() {
  if (timer) return stop();
  if (now === steps.length) now = 0;
  playing(true);
  draw();
  timer = setInterval(() => (now < steps.length ? go(now + 1, false) : stop()), 1000 / Number($("speed").value));
}
function select(p) { seen = p; draw(); }
const moves = { first: () => go(0), back: () => go(now - 1), on: () => go(now + 1), last: () => go(steps.length), play };
const born = (p) => at(steps.length)[p].born;

$("scrubber").max = steps.length;
$("canvas").style.setProperty("--size", length <= 48 ? "1.3rem" : length <= 200 ? "1.08rem" : ".92rem");
$("scrubber").addEventListener("input", (e) => { stop(); go(Number(e.target.value)); });
$("speed").addEventListener("change", () => { if (timer) { stop(); play(); } });
for (const button of document.querySelectorAll("[data-go]")) button.addEventListener("click", () => { if (button.dataset.go !== "play") stop(); moves[button.dataset.go](); });
$("canvas").addEventListener("mouseover", (e) => { const p = e.target.dataset.p; if (p !== undefined && Number(p) !== seen) { seen = Number(p); drawInspector(at(now)); drawMap(); document.querySelectorAll(".canvas .seen").forEach((n) => n.classList.remove("seen")); e.target.classList.add("seen"); } });
$("canvas").addEventListener("click", (e) => { const p = e.target.dataset.p; if (p !== undefined && born(Number(p))) { stop(); seen = Number(p); go(born(seen)); } });
const place = (e) => { const box = $("map").getBoundingClientRect(); return [Math.floor((e.clientX - box.left - geometry.label) / geometry.w), Math.floor((e.clientY - box.top) / geometry.h)]; };
$("map").addEventListener("mousemove", (e) => { const [k] = place(e); if (asked[k] !== undefined && asked[k] !== seen) select(asked[k]); });
$("map").addEventListener("click", (e) => { const [k, i] = place(e); stop(); if (asked[k] !== undefined) seen = asked[k]; if (i < steps.length) go(i + 1); });
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("select, input:not([type=range]), textarea")) return;
  const act = { ArrowLeft: () => { stop(); moves.back(); }, ArrowRight: () => { stop(); moves.on(); }, Home: moves.first, End: moves.last, "[": () => select(Math.max(0, seen - 1)), "]": () => select(Math.min(length - 1, seen + 1)), Enter: () => { if (born(seen)) go(born(seen)); }, " ": play }[e.key];
  if (act && !((e.key === " " || e.key === "Enter") && e.target.matches("button, a"))) { e.preventDefault(); act(); }
});
$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  drawMap();
});
addEventListener("resize", drawMap);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
const linked = /^#step=(\d+)$/.exec(location.hash);
if (linked) now = clamp(Number(linked[1]));
else if (document.body.classList.contains("told")) now = Math.min(Number(document.body.dataset.step || 1), steps.length);
draw();
