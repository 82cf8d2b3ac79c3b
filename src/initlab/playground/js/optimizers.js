// SGD and Adam on a network's parameters, and the loss along their first step (inspection/line.py).

import { crossEntropy, forward, parametersOf } from "./network.js";
import { SETTINGS } from "./settings.js";

const BETA_1 = 0.9, BETA_2 = 0.999, EPS = 1e-8, TINY = 2 ** -126;

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

/** [[rate, loss after one step of that rate], …] on the batch whose gradients the parameters hold; weights stay. */
export function lossAlongFirstStep(network, optimizer, batch) {
  const sign = optimizer === "adam", rates = SETTINGS.line.decades[sign ? "sign" : "sgd"];
  const parameters = parametersOf(network), own = parameters.map(({ values }) => values.slice());
  const line = rates.map((rate) => {
    parameters.forEach(({ values, grad }, p) => {
      for (let i = 0; i < values.length; i++) {
        const g = grad[i], direction = sign ? g / (Math.abs(g) + Math.max(EPS, TINY)) : g;
        values[i] = own[p][i] - rate * direction;
      }
    });
    const loss = crossEntropy(forward(network, batch.x, batch.count), batch.labels, network.config.classes);
    return [rate, Number.isFinite(loss) ? loss : Infinity];
  });
  parameters.forEach(({ values }, p) => values.set(own[p]));
  return line;
}
