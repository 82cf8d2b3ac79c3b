// SGD and Adam on a network's parameters, and the loss along their first step (inspection/line.py).

import { crossEntropy, forward, parametersOf } from "./network.js";
import { SETTINGS } from "./settings.js";

export const EPS = 1e-8;
const BETA_1 = 0.9, BETA_2 = 0.999, TINY = 2 ** -126;

export function makeOptimizer(name) {
  return { name, steps: 0, moments: new Map() };
}

function sgdStep({ values, grad }, rate) {
  for (let i = 0; i < values.length; i++) values[i] -= rate * grad[i];
}

function adamStep(optimizer, parameter, rate) {
  const { values, grad, name } = parameter, { moments, steps } = optimizer;
  if (!moments.has(name)) moments.set(name, [new Float32Array(grad.length), new Float32Array(grad.length)]);
  const [first, second] = moments.get(name), one = 1 - BETA_1 ** steps, two = 1 - BETA_2 ** steps;
  for (let i = 0; i < values.length; i++) {
    first[i] = BETA_1 * first[i] + (1 - BETA_1) * grad[i];
    second[i] = BETA_2 * second[i] + (1 - BETA_2) * grad[i] * grad[i];
    values[i] -= (rate * first[i]) / one / (Math.sqrt(second[i] / two) + EPS);
  }
}

/** One step from the gradients that the parameters hold. */
export function takeStep(optimizer, network, rate) {
  optimizer.steps++;
  for (const parameter of parametersOf(network)) {
    if (optimizer.name === "adam") adamStep(optimizer, parameter, rate);
    else sgdStep(parameter, rate);
  }
}

/** Root mean square of what a step changes in the outputs, each output's mean change over the batch taken off. */
function movement(before, after, classes) {
  const batch = before.length / classes;
  let square = 0;
  for (let k = 0; k < classes; k++) {
    let mean = 0;
    for (let at = k; at < before.length; at += classes) mean += (after[at] - before[at]) / batch;
    for (let at = k; at < before.length; at += classes) square += (after[at] - before[at] - mean) ** 2;
  }
  return Math.sqrt(square / before.length);
}

/**
 * [[rate, loss, movement of the outputs after one step of that rate], …]; weights stay.
 *
 * On the batch that the network last saw and whose gradients the parameters hold.
 */
export function lossAlongFirstStep(network, optimizer, batch) {
  const sign = optimizer === "adam", rates = SETTINGS.line.decades[sign ? "sign" : "sgd"];
  const parameters = parametersOf(network), own = parameters.map(({ values }) => values.slice());
  const { classes } = network.config, before = network.room.logits.slice();
  const line = rates.map((rate) => {
    parameters.forEach(({ values, grad }, p) => {
      for (let i = 0; i < values.length; i++) {
        const g = grad[i], direction = sign ? g / (Math.abs(g) + Math.max(EPS, TINY)) : g;
        values[i] = own[p][i] - rate * direction;
      }
    });
    const logits = forward(network, batch.x, batch.count), loss = crossEntropy(logits, batch.labels, classes);
    return Number.isFinite(loss) ? [rate, loss, movement(before, logits, classes)] : [rate, Infinity, NaN];
  });
  parameters.forEach(({ values }, p) => values.set(own[p]));
  return line;
}
