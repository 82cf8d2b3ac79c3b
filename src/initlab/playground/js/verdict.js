// What settles the verdict before the first step: the facts of inspection/verdict.py that the page can work out.

import { backward, forward, linearsOf, parametersOf } from "./network.js";
import { lossAlongFirstStep } from "./optimizers.js";
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

/**
 * The verdict's ground on a batch: { word, fact, probability, loss, line, best }.
 *
 * word is "untrainable" where a fact settles it, else "open"; best is the [rate, loss] that lowers the loss most.
 */
export function judge(network, optimizer, batch) {
  forward(network, batch.x, batch.count);
  const loss = backward(network, batch.labels), settled = (fact, probability) => {
    return { word: "untrainable", fact, probability, loss, line: [], best: null };
  };
  if (!Number.isFinite(loss)) return settled("loss", 1);
  const finite = parametersOf(network).every(({ values, grad }) => Number.isFinite(rms(values) + rms(grad)));
  if (!finite) return settled("nonfinite", 1);
  const { facts } = SETTINGS;
  if (nothingMoves(network)) return settled("no gradient", facts["no gradient"].share);
  const line = lossAlongFirstStep(network, optimizer, batch);
  const lowers = ([, after]) => (loss - after) / Math.abs(loss) > SETTINGS.line.flat;
  const best = line.reduce((a, b) => (b[1] < a[1] ? b : a));
  if (!line.some(lowers)) return { ...settled("no rate", facts["no rate"].share), line };
  return { word: "open", fact: null, probability: null, loss, line, best };
}
