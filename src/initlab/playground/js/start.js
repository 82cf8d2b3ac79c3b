// A network's start: every weight drawn from the scheme's law under its own name; biases 0, norm weights 1.

import { draw } from "./laws.js";
import { linearsOf, makeNetwork, parametersOf } from "./network.js";
import { lawOf, SCHEMES } from "./schemes.js";

/** A network with its starting weights. config as of `makeNetwork`, with { scheme, size, seed } beside it. */
export function started(config) {
  const network = makeNetwork(config), scheme = SCHEMES.get(config.scheme);
  for (const { weight } of linearsOf(network)) {
    weight.values.set(draw(lawOf(scheme, weight.shape, config.size), weight.shape, config.seed, weight.name));
  }
  return network;
}

/** The values of every parameter, to go back to. */
export function snapshot(network) {
  return parametersOf(network).map((parameter) => parameter.values.slice());
}

export function restore(network, values) {
  parametersOf(network).forEach((parameter, i) => parameter.values.set(values[i]));
}
