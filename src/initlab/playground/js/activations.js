// Activation functions and their slopes, by the names of initlab.theory.

import { SETTINGS } from "./settings.js";

const SELU_SCALE = 1.0507009873554805, SELU_ALPHA = 1.6732632423543772;
const ROOT_TWO_OVER_PI = Math.sqrt(2 / Math.PI), ROOT_TWO_PI = Math.sqrt(2 * Math.PI);

function sigmoid(x) {
  return 0.5 * (1 + Math.tanh(0.5 * x));
}

/** Φ(x), to 2e-7 (Press et al., Numerical Recipes, erfcc). */
function normalBelow(x) {
  const z = Math.abs(x) / Math.SQRT2, t = 1 / (1 + 0.5 * z);
  const c = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277];
  let sum = 0;
  for (let i = c.length - 1; i >= 0; i--) sum = sum * t + c[i];
  const tail = 0.5 * t * Math.exp(-z * z + sum);
  return x > 0 ? 1 - tail : tail;
}

function geluTanhInner(x) {
  return Math.tanh(ROOT_TWO_OVER_PI * (x + 0.044715 * x ** 3));
}

function elu(x, alpha) {
  return x > 0 ? x : alpha * Math.expm1(x);
}

/** Each as [φ, φ′]. */
const FUNCTIONS = {
  relu: [(x) => (x > 0 ? x : 0), (x) => (x > 0 ? 1 : 0)],
  leaky_relu: [(x) => (x > 0 ? x : 0.01 * x), (x) => (x > 0 ? 1 : 0.01)],
  tanh: [Math.tanh, (x) => 1 - Math.tanh(x) ** 2],
  sigmoid: [sigmoid, (x) => sigmoid(x) * (1 - sigmoid(x))],
  identity: [(x) => x, () => 1],
  gelu: [(x) => x * normalBelow(x), (x) => normalBelow(x) + x * Math.exp(-0.5 * x * x) / ROOT_TWO_PI],
  gelu_tanh: [
    (x) => 0.5 * x * (1 + geluTanhInner(x)),
    (x) => {
      const inner = geluTanhInner(x);
      return 0.5 * (1 + inner) + 0.5 * x * (1 - inner * inner) * ROOT_TWO_OVER_PI * (1 + 3 * 0.044715 * x * x);
    },
  ],
  silu: [(x) => x * sigmoid(x), (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x)))],
  elu: [(x) => elu(x, 1), (x) => (x > 0 ? 1 : Math.exp(x))],
  selu: [(x) => SELU_SCALE * elu(x, SELU_ALPHA), (x) => SELU_SCALE * (x > 0 ? 1 : SELU_ALPHA * Math.exp(x))],
  softplus: [(x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), sigmoid],
  softsign: [(x) => x / (1 + Math.abs(x)), (x) => 1 / (1 + Math.abs(x)) ** 2],
  hardtanh: [(x) => Math.min(1, Math.max(-1, x)), (x) => (x > -1 && x < 1 ? 1 : 0)],
  sin: [Math.sin, Math.cos],
};

/** {name: {name, f, slope, gain}}: those that the page computes, with the gain that theory gives each. */
export const ACTIVATIONS = new Map(Object.entries(FUNCTIONS).map(([name, [f, slope]]) => {
  return [name, { name, f, slope, gain: SETTINGS.gains[name] }];
}));
