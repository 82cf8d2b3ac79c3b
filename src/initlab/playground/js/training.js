// A small training that can be watched: minibatches in turn, the losses so far, and the way back to the same start.

import { batchOf } from "./data.js";
import { backward, forward } from "./network.js";
import { makeOptimizer, takeStep } from "./optimizers.js";
import { restore, snapshot } from "./start.js";

export const BATCH = 64;
const TRAIN = 256;

/** A run of a network from where it stands; `history` holds the losses of each step. */
export function makeRun(network, data, scale, optimizer) {
  return { network, data, scale, optimizer: makeOptimizer(optimizer), start: snapshot(network), step: 0, losses: [] };
}

/** One step; false where the loss is not finite and none was taken. */
export function trainStep(run, rate) {
  const batch = batchOf(run.data, (run.step * BATCH) % TRAIN, BATCH, run.scale);
  forward(run.network, batch.x, BATCH);
  const loss = backward(run.network, batch.labels);
  run.losses.push(loss);
  if (!Number.isFinite(loss)) return false;
  takeStep(run.optimizer, run.network, rate);
  run.step++;
  return true;
}

/** Share of the samples that are not trained on whose class is the largest logit. */
export function testAccuracy(run) {
  const { network, data } = run, { classes } = network.config, batch = batchOf(data, TRAIN, BATCH, run.scale);
  const logits = forward(network, batch.x, BATCH);
  let right = 0;
  for (let i = 0; i < BATCH; i++) {
    const own = logits.subarray(i * classes, (i + 1) * classes);
    if (own.every((value) => value <= own[batch.labels[i]])) right++;
  }
  return right / BATCH;
}

/** The same weights as before the first step, and a fresh optimizer. */
export function rewind(run) {
  restore(run.network, run.start);
  Object.assign(run, { optimizer: makeOptimizer(run.optimizer.name), step: 0, losses: [] });
}
