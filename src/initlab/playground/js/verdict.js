// What settles the verdict before the first step: the facts of inspection/verdict.py that the page can work out.

import { backward, forward, linearsOf, parametersOf } from "./network.js";
import { EPS, lossAlongFirstStep } from "./optimizers.js";
import { SETTINGS } from "./settings.js";

function rms(values) {
  let square = 0;
  for (const value of values) square += value * value;
  return Math.sqrt(square / values.length);
}

/** Whether no weight matrix gets a gradient, and none waits at zero for one that it gets. */
function nothingMoves(network) {
  return linearsOf(network).every(({ weight }) => rms(weight.grad) === 0);
}

/** Whether every weight matrix before the read-out has at most that share of distinct units at which they count as equal. */
function allEqual(network) {
  const hidden = linearsOf(network).filter((linear) => linear !== network.readout && linear.fanOut > 1);
  return hidden.length > 0 && hidden.every((linear) => distinctUnits(linear) <= SETTINGS.bounds.merged * linear.fanOut);
}

/** Whether Adam steps at full size: the median gradient of the weight matrices is no less than `under` of its eps. */
function fullSteps(network, optimizer, under) {
  if (optimizer !== "adam") return false;
  const sizes = linearsOf(network).map(({ weight }) => rms(weight.grad)).sort((a, b) => a - b);
  return sizes[Math.floor(sizes.length / 2)] >= under * EPS;
}

/** How many of a matrix's units differ from each other in weights or gradient, told by two sums with uneven factors. */
function distinctUnits({ fanIn, fanOut, weight: { values, grad } }) {
  const factors = Float64Array.from({ length: fanIn }, (_, i) => Math.sin(i + 1)), seen = new Set();
  for (let unit = 0, at = 0; unit < fanOut; unit++) {
    let own = 0, pull = 0;
    for (let i = 0; i < fanIn; i++, at++) {
      own += factors[i] * values[at];
      pull += factors[i] * grad[at];
    }
    seen.add(`${own} ${pull}`);
  }
  return seen.size;
}

/**
 * The matrices whose units have equal weights and gradients, so that they stay equal (findings/symmetric.py).
 *
 * { count, of, name, units, distinct } of the first of them; null where there is none.
 */
export function equalUnits(network) {
  const linears = linearsOf(network), merged = [];
  for (const linear of linears) {
    const { weight, fanOut } = linear, distinct = distinctUnits(linear), closed = rms(weight.values) === 0;
    const parting = closed && (linear === network.readout || (rms(weight.grad) > 0 && distinct !== 1));
    if (distinct <= Math.max(1, SETTINGS.bounds.merged * fanOut) && !parting) merged.push({ linear, distinct });
  }
  if (!merged.length) return null;
  const [{ linear, distinct }] = merged;
  return { count: merged.length, of: linears.length, name: linear.weight.name, units: linear.fanOut, distinct };
}

/**
 * The verdict's ground on a batch: { word, facts, probability, loss, line, best, equal }.
 *
 * word is "untrainable" where facts settle it, else "open"; best is the [rate, loss] that lowers the loss most; equal is
 * what `equalUnits` says.
 */
export function judge(network, optimizer, batch) {
  forward(network, batch.x, batch.count);
  const loss = backward(network, batch.labels), equal = equalUnits(network);
  const settled = (facts, line = []) => {
    const probability = Math.max(...facts.map((fact) => SETTINGS.facts[fact]?.share ?? 1));
    return { word: "untrainable", facts, probability, loss, line, best: null, equal };
  };
  if (!Number.isFinite(loss)) return settled(["loss"]);
  const finite = parametersOf(network).every(({ values, grad }) => Number.isFinite(rms(values) + rms(grad)));
  if (!finite) return settled(["nonfinite"]);
  const line = lossAlongFirstStep(network, optimizer, batch), { alike, hardly, under, still, overshoot } = SETTINGS.bounds;
  const decrease = ([, after]) => (loss - after) / Math.abs(loss);
  const best = line.reduce((a, b) => (b[1] < a[1] ? b : a)), normalised = network.blocks.some(({ norm }) => norm !== "none");
  const flat = line.every((point) => Math.abs(decrease(point)) <= still);
  const grown = Math.log10(line.at(-1)[1] / Math.abs(loss));
  const holds = {
    "no gradient": nothingMoves(network),
    "one answer": !normalised && best[2] < alike && decrease(best) < hardly && !fullSteps(network, optimizer, under),
    "no rate": !line.some((point) => decrease(point) > SETTINGS.line.flat) && (flat || !(grown < overshoot) || allEqual(network)),
  };
  const facts = Object.keys(holds).filter((fact) => holds[fact]);
  return facts.length ? settled(facts, line) : { word: "open", facts, probability: null, loss, line, best, equal };
}
