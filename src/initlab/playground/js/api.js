// What tests, benchmarks and the browser's console may call: `playground.draw(…)` and so on.

import { ACTIVATIONS } from "./activations.js";
import { restart, state } from "./app.js";
import { batchOf, dataset } from "./data.js";
import { centredLaw, draw } from "./laws.js";
import { backward, forward, parametersOf } from "./network.js";
import { lawOf, SCHEMES } from "./schemes.js";
import { started } from "./start.js";
import { trainStep } from "./training.js";
import { judge } from "./verdict.js";
import { pythonOf } from "./snippet.js";
import { elementWords, streamKey } from "./streams.js";

globalThis.playground = {
  ACTIVATIONS, SCHEMES, backward, batchOf, centredLaw, dataset, draw, elementWords, forward, lawOf, parametersOf, started, streamKey,
  judge, pythonOf, restart, state, trainStep,
};
