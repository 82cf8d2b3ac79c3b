// The data that the page trains on: two moons and a spiral, drawn from named streams, and scikit-learn's digits.

import { draw } from "./laws.js";
import { SETTINGS } from "./settings.js";

const POINTS = 320;

/** Inputs of mean 0 and second moment 1 over all numbers, as the experiments of initlab standardise them. */
function standardised(x) {
  let total = 0, square = 0;
  for (const value of x) total += value;
  const mean = total / x.length;
  for (const value of x) square += (value - mean) ** 2;
  const std = Math.sqrt(square / x.length);
  return x.map((value) => (value - mean) / std);
}

/** Points of two classes in turn: `curve(share, label)` is a place on the class's curve, to which noise is added. */
function planar(name, noise, curve) {
  const share = draw({ family: "uniform", low: 0, high: 1 }, [POINTS, 1], 0, `${name}.share`);
  const shake = draw({ family: "normal", mean: 0, std: noise }, [POINTS, 2], 0, `${name}.noise`);
  const x = new Float32Array(2 * POINTS), labels = new Uint8Array(POINTS);
  for (let i = 0; i < POINTS; i++) {
    labels[i] = i % 2;
    const [u, v] = curve(share[i], labels[i]);
    x[2 * i] = u + shake[2 * i];
    x[2 * i + 1] = v + shake[2 * i + 1];
  }
  return { name, inputs: 2, classes: 2, x: standardised(x), labels };
}

function moon(share, label) {
  const angle = Math.PI * share;
  return label ? [1 - Math.cos(angle), 0.5 - Math.sin(angle)] : [Math.cos(angle), Math.sin(angle)];
}

function arm(share, label) {
  const radius = 0.15 + 0.85 * Math.sqrt(share), angle = 3.5 * Math.PI * radius + (label ? Math.PI : 0);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** 64 pixels in 17 grey levels, a letter each, and the class before them. */
function digits() {
  const { samples, alphabet } = SETTINGS.digits, x = new Float32Array(64 * samples.length);
  const labels = Uint8Array.from(samples, (text) => alphabet.indexOf(text[0]));
  samples.forEach((text, i) => { for (let k = 0; k < 64; k++) x[64 * i + k] = alphabet.indexOf(text[k + 1]); });
  return { name: "digits", inputs: 64, classes: 10, x: standardised(x), labels };
}

const MAKERS = {
  moons: () => planar("moons", 0.1, moon),
  spiral: () => planar("spiral", 0.03, arm),
  digits,
};
const MADE = new Map();

export const DATASETS = Object.keys(MAKERS);

export function dataset(name) {
  if (!MADE.has(name)) MADE.set(name, MAKERS[name]());
  return MADE.get(name);
}

/** Samples start … start + count - 1 (round the end), inputs times `scale`. */
export function batchOf(data, start, count, scale) {
  const { inputs, labels } = data, x = new Float32Array(count * inputs), own = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const from = (start + i) % labels.length;
    own[i] = labels[from];
    for (let k = 0; k < inputs; k++) x[i * inputs + k] = data.x[from * inputs + k] * scale;
  }
  return { x, labels: own, count };
}
