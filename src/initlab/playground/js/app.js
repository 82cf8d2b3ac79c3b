// The page at work: what is chosen becomes a network, and every change is shown in the next frame.

import { ACTIVATIONS } from "./activations.js";
import { drawHistograms, drawLines, format } from "./charts.js";
import { batchOf, dataset, DATASETS } from "./data.js";
import { backward, forward } from "./network.js";
import { ownSize, SCHEMES, sizeOf } from "./schemes.js";
import { SETTINGS } from "./settings.js";
import { expectedSizes, histogram, layerSizes, sharedReach, viewed } from "./signals.js";
import { pythonOf } from "./snippet.js";
import { started } from "./start.js";
import { BATCH, makeRun, rewind, testAccuracy, trainStep } from "./training.js";
import { judge } from "./verdict.js";
import { factWord, language, sourceWord, speak, word } from "./words.js";

const BINS = 60, REST = 160, FRAME = 12, KEPT = 4;
const at = (id) => document.getElementById(id);
export const state = { run: null, config: null, earlier: [], playing: false, waiting: 0, verdict: null };

function numberOf(id, per) {
  return Number((10 ** (Number(at(id).value) / per)).toPrecision(3));
}

/** The gain or std in place of the scheme's own; null while the slider stands at it. */
function chosenSize(scheme) {
  const steps = Number(at("size").value), own = ownSize(scheme);
  return steps === 0 || own === null ? null : Number((own * 10 ** (steps / 20)).toPrecision(4));
}

function chosen() {
  const data = dataset(at("data").value), scheme = SCHEMES.get(at("scheme").value);
  return {
    data: data.name, inputs: data.inputs, classes: data.classes, depth: Number(at("depth").value),
    width: SETTINGS.widths[Number(at("width").value)], activation: at("activation").value, norm: at("norm").value,
    skip: at("skip").checked, scheme: scheme.name, size: chosenSize(scheme),
    seed: Math.max(0, Math.floor(Number(at("seed").value)) || 0), scale: numberOf("scale", 10),
  };
}

function showChosen(config) {
  const scheme = SCHEMES.get(config.scheme), size = sizeOf(scheme);
  at("depth-shown").value = config.depth;
  at("width-shown").value = config.width;
  at("scale-shown").value = format(config.scale);
  at("rate-shown").value = format(numberOf("rate", 10));
  at("formula").textContent = scheme.formula;
  at("source").textContent = sourceWord(scheme);
  at("size").disabled = size === null;
  at("size-name").textContent = word(size ?? "gain");
  const own = size && config.size === null ? ` (${word("own")})` : "";
  at("size-shown").value = size ? format(config.size ?? ownSize(scheme)) + own : word("fixed");
  const { gain } = ACTIVATIONS.get(config.activation);
  at("theory-gain").textContent = gain ? `${word("theory_gain")}: ${format(gain)}` : "";
  at("python").textContent = pythonOf(config);
}

/** A fresh start from what is chosen; the losses so far stay as an earlier run. */
export function restart() {
  const config = chosen();
  keepLosses();
  state.config = config;
  state.run = makeRun(started(config), dataset(config.data), config.scale, at("optimizer").value);
  pause();
  showChosen(config);
  look();
  judgeSoon();
}

function keepLosses() {
  if (state.run?.losses.length > 1) state.earlier = [...state.earlier, state.run.losses].slice(-KEPT);
}

/** One pass on the first batch, and everything that is drawn from it. */
function look() {
  const { run, config } = state, batch = batchOf(run.data, 0, BATCH, config.scale);
  forward(run.network, batch.x, BATCH);
  backward(run.network, batch.labels, false);
  const sizes = layerSizes(run.network), expected = expectedSizes(run.network, batch.x);
  drawLines(at("signals"), [
    { values: expected, className: "theory" }, { values: sizes.map(({ signal }) => signal), className: "" },
  ], word("layer"));
  drawLines(at("gradients"), [{ values: sizes.map(({ gradient }) => gradient), className: "" }], word("layer"));
  showHistograms(run.network);
  showFactors(sizes);
  showNumbers(sizes, expected);
  showLosses();
}

function showHistograms(network) {
  const arrays = viewed(network, at("view").value), reach = sharedReach(arrays);
  drawHistograms(at("histograms"), arrays.map((values) => histogram(values, reach, BINS)), reach);
  at("histograms-note").textContent = word("histograms.note", format(-reach), format(reach));
}

/** Mean factor a layer from the first to the last, and for gradients from the last to the first. */
function showFactors(sizes) {
  const [first, last, steps] = [sizes[0], sizes[sizes.length - 1], sizes.length - 1];
  const signal = (last.signal / first.signal) ** (1 / steps), gradient = (first.gradient / last.gradient) ** (1 / steps);
  const told = steps > 0 && Number.isFinite(signal) && Number.isFinite(gradient);
  at("factors").textContent = told ? word("forward", format(signal), format(gradient)) : "";
}

function showNumbers(sizes, expected) {
  const table = at("numbers");
  if (!table.closest("details").open) return;
  const heads = [word("layer"), word("weight"), word("signal"), word("gradient")];
  const cells = sizes.map(({ weight, signal, gradient }, i) => [i + 1, ...[weight, signal, gradient].map(format)]);
  const row = (values, tag) => `<tr>${values.map((value) => `<${tag}>${value}</${tag}>`).join("")}</tr>`;
  table.innerHTML = `<thead>${row(heads, "th")}</thead><tbody>${cells.map((c) => row(c, "td")).join("")}</tbody>`;
}

function showLosses() {
  const lines = state.earlier.map((values) => ({ values, className: "earlier" }));
  drawLines(at("losses"), [...lines, { values: state.run.losses, className: "" }], word("step"));
}

/** The verdict is taken when the sliders rest: it costs several passes. */
function judgeSoon() {
  clearTimeout(state.waiting);
  state.waiting = setTimeout(() => {
    const { run, config } = state;
    if (run.step) return;
    state.verdict = judge(run.network, at("optimizer").value, batchOf(run.data, 0, BATCH, config.scale));
    showVerdict();
  }, REST);
}

function reason({ facts, probability, loss, best }) {
  if (best) return word("best", format(best[0]), format(loss), format(best[1]));
  const share = facts[0] in SETTINGS.facts ? `; ${word("of_cells", `${Math.round(100 * probability)}%`)}` : "";
  return `${facts.map(factWord).join("; ")}${share}.`;
}

function showVerdict() {
  const { verdict } = state;
  if (!verdict) return;
  at("verdict-card").className = `callout ${verdict.word === "untrainable" ? "error" : "info"}`;
  at("verdict-word").textContent = word(verdict.word);
  at("verdict-reason").textContent = reason(verdict);
  const { equal } = verdict;
  at("equal").textContent = equal ? word("equal", equal.count, equal.of, equal.name, equal.units, equal.distinct) : "";
}

function showStatus() {
  const { run } = state, loss = run.losses[run.losses.length - 1] ?? NaN;
  const share = `${Math.round(100 * testAccuracy(run))}%`;
  at("training-status").textContent = run.losses.length ? word("status", run.step, format(loss), share) : "";
}

function pause() {
  state.playing = false;
  at("play").textContent = word("play");
  showStatus();
}

/** Steps for most of a frame, then one look. */
function trainFrame() {
  if (!state.playing) return;
  const rate = numberOf("rate", 10), end = performance.now() + FRAME;
  do {
    if (!trainStep(state.run, rate)) return void (pause(), look());
  } while (performance.now() < end);
  showStatus();
  look();
  requestAnimationFrame(trainFrame);
}

function play() {
  if (state.playing) return pause();
  state.playing = true;
  at("play").textContent = word("pause");
  requestAnimationFrame(trainFrame);
}

function oneStep() {
  trainStep(state.run, numberOf("rate", 10));
  showStatus();
  look();
}

function goBack() {
  keepLosses();
  rewind(state.run);
  pause();
  look();
}

function fill(id, values, label) {
  const own = at(id).value;
  at(id).replaceChildren(...values.map((value) => new Option(label(value), value)));
  if (values.includes(own)) at(id).value = own;
}

function fillChoices() {
  fill("data", DATASETS, (name) => word(`data.${name}`));
  fill("activation", [...ACTIVATIONS.keys()], (name) => name);
  fill("norm", ["none", "batch", "layer"], (name) => word(`norm.${name}`));
  fill("scheme", [...SCHEMES.keys()], (name) => name);
  fill("view", ["pre", "act", "gradients", "weights"], (name) => word(`view.${name}`));
}

function inLanguage(code) {
  speak(code);
  fillChoices();
  if (!state.run) return;
  showChosen(state.config);
  showStatus();
  showVerdict();
  look();
}

let asked = false;

/** `action` once in the next frame, however often it is asked for before. */
function nextFrame(action) {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    action();
  });
}

async function copyCode() {
  const selection = getSelection();
  selection.selectAllChildren(at("python"));
  await navigator.clipboard?.writeText(at("python").textContent).catch(() => document.execCommand("copy"));
  selection.removeAllRanges();
  at("copy").textContent = word("copied");
  setTimeout(() => { at("copy").textContent = word("copy"); }, 1500);
}

function listen() {
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("controls").addEventListener("input", (event) => {
    if (event.target.id === "scheme") at("size").value = 0;
    nextFrame(restart);
  });
  at("optimizer").addEventListener("input", restart);
  at("rate").addEventListener("input", () => { at("rate-shown").value = format(numberOf("rate", 10)); });
  at("view").addEventListener("input", look);
  at("play").addEventListener("click", play);
  at("one").addEventListener("click", oneStep);
  at("rewind").addEventListener("click", goBack);
  at("copy").addEventListener("click", copyCode);
  at("language").addEventListener("click", () => inLanguage(language() === "en" ? "ko" : "en"));
  at("numbers").closest("details").addEventListener("toggle", look);
  addEventListener("resize", () => nextFrame(look));
}

/** The page as it opens: Korean where the address ends in ?ko or the reader's browser is Korean. */
function open() {
  const korean = location.search === "?ko" || (!location.search && navigator.language.startsWith("ko"));
  inLanguage(korean ? "ko" : "en");
  at("scheme").value = "he_normal";
  listen();
  restart();
}

open();
