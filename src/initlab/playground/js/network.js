// A plain network of blocks, block = activation(norm(linear(x))) with or without a sum around it, and a read-out.

import { ACTIVATIONS } from "./activations.js";
import { productTransposed, transposeInto } from "./matrices.js";
import { normBackward, normForward } from "./norms.js";

function parameter(name, shape, start) {
  const count = shape.reduce((total, size) => total * size, 1);
  return { name, shape, values: new Float32Array(count).fill(start), grad: new Float32Array(count) };
}

/** y = x Wᵀ + b, and room for what it keeps. */
function makeLinear(name, fanIn, fanOut) {
  return {
    fanIn, fanOut,
    weight: parameter(`${name}.weight`, [fanOut, fanIn], 0),
    bias: parameter(`${name}.bias`, [fanOut], 0),
  };
}

function makeBlock(index, fanIn, config) {
  const { width, norm, skip } = config;
  const block = { linear: makeLinear(`blocks.${index}.linear`, fanIn, width), norm, skip: skip && fanIn === width };
  if (norm !== "none") {
    block.scale = parameter(`blocks.${index}.norm.weight`, [width], 1);
    block.shift = parameter(`blocks.${index}.norm.bias`, [width], 0);
  }
  return block;
}

/**
 * A network of `depth` blocks of `width` units and a read-out, all weights still zero.
 *
 * config: { inputs, classes, depth, width, activation, norm: "none" | "batch" | "layer", skip }.
 */
export function makeNetwork(config) {
  const blocks = [];
  for (let i = 0; i < config.depth; i++) blocks.push(makeBlock(i, i ? config.width : config.inputs, config));
  const readout = makeLinear("readout", config.depth ? config.width : config.inputs, config.classes);
  return { config, blocks, readout, activation: ACTIVATIONS.get(config.activation), room: null };
}

export function linearsOf(network) {
  return [...network.blocks.map((block) => block.linear), network.readout];
}

/** The parameters in the order of torch's named_parameters(). */
export function parametersOf(network) {
  const ofLinear = (linear) => [linear.weight, linear.bias];
  const ofBlock = (block) => [...ofLinear(block.linear), ...(block.scale ? [block.scale, block.shift] : [])];
  return [...network.blocks.flatMap(ofBlock), ...ofLinear(network.readout)];
}

/** Signals and gradients of every block for a batch of this size, made once and written over. */
function roomFor(network, batch) {
  if (network.room?.batch === batch) return network.room;
  const { inputs, classes, width } = network.config, widest = Math.max(inputs, classes, width);
  const array = (units) => new Float32Array(batch * units);
  const blockRoom = () => ({
    pre: array(width), normed: array(width), act: array(width), out: array(width), gradPre: array(width),
    inverse: new Float32Array(Math.max(batch, width)),
  });
  network.room = {
    batch, blocks: network.blocks.map(blockRoom), logits: array(classes), gradLogits: array(classes),
    passed: array(widest), other: array(widest), flipped: new Float32Array(widest * widest),
    byUnit: array(widest), inputByUnit: array(widest),
  };
  return network.room;
}

function linearForward(linear, x, out, batch) {
  const { weight, bias, fanIn, fanOut } = linear;
  productTransposed(x, weight.values, out, batch, fanOut, fanIn);
  for (let at = 0; at < out.length; at += fanOut) for (let j = 0; j < fanOut; j++) out[at + j] += bias.values[j];
}

function addInto(out, a, b) {
  for (let i = 0; i < out.length; i++) out[i] = a[i] + b[i];
}

/** The logits of a batch x (batch × inputs); every block's signals stay in `network.room`. */
export function forward(network, x, batch) {
  const room = roomFor(network, batch), { f } = network.activation;
  let signal = x;
  network.blocks.forEach((block, index) => {
    const own = room.blocks[index];
    own.input = signal;
    linearForward(block.linear, signal, own.pre, batch);
    const arriving = block.norm === "none" ? own.pre : normForward(block, own, batch);
    own.arriving = arriving;
    for (let i = 0; i < arriving.length; i++) own.act[i] = f(arriving[i]);
    own.left = own.act;
    if (block.skip) addInto((own.left = own.out), signal, own.act);
    signal = own.left;
  });
  room.last = signal;
  linearForward(network.readout, signal, room.logits, batch);
  return room.logits;
}

/** The mean cross-entropy of the logits; its gradient goes into `gradient` where one is given. */
export function crossEntropy(logits, labels, classes, gradient = null) {
  const batch = labels.length;
  let total = 0;
  for (let row = 0, at = 0; row < batch; row++, at += classes) {
    let largest = -Infinity, sum = 0;
    for (let k = 0; k < classes; k++) largest = Math.max(largest, logits[at + k]);
    for (let k = 0; k < classes; k++) sum += Math.exp(logits[at + k] - largest);
    total += Math.log(sum) + largest - logits[at + labels[row]];
    if (!gradient) continue;
    for (let k = 0; k < classes; k++) {
      gradient[at + k] = (Math.exp(logits[at + k] - largest) / sum - (k === labels[row] ? 1 : 0)) / batch;
    }
  }
  return total / batch;
}

/** The gradient with respect to the input of a linear layer, from that at its output. */
function inputGradient(linear, gradient, out, room) {
  const { weight, fanIn, fanOut } = linear;
  const columns = transposeInto(weight.values, room.flipped, fanOut, fanIn);
  productTransposed(gradient, columns, out, room.batch, fanIn, fanOut);
}

function weightGradient(linear, input, gradient, room) {
  const { weight, bias, fanIn, fanOut } = linear, { batch, byUnit, inputByUnit } = room;
  transposeInto(gradient, byUnit, batch, fanOut);
  transposeInto(input, inputByUnit, batch, fanIn);
  productTransposed(byUnit, inputByUnit, weight.grad, fanOut, fanIn, batch);
  for (let j = 0; j < fanOut; j++) {
    let total = 0;
    for (let i = 0; i < batch; i++) total += byUnit[j * batch + i];
    bias.grad[j] = total;
  }
}

/**
 * Gradients of the loss after `forward`: at every block's pre-activation, and with `weights` of every parameter.
 *
 * Returns the loss.
 */
export function backward(network, labels, weights = true) {
  const { room, readout, blocks } = network, { slope } = network.activation, { batch } = room;
  const loss = crossEntropy(room.logits, labels, network.config.classes, room.gradLogits);
  if (weights) weightGradient(readout, room.last, room.gradLogits, room);
  let { passed, other } = room;
  inputGradient(readout, room.gradLogits, passed, room);
  for (let index = blocks.length - 1; index >= 0; index--) {
    const block = blocks[index], own = room.blocks[index], { gradPre, arriving } = own;
    for (let i = 0; i < gradPre.length; i++) gradPre[i] = passed[i] === 0 ? 0 : passed[i] * slope(arriving[i]);
    if (block.norm !== "none") normBackward(block, own, batch, weights);
    if (weights) weightGradient(block.linear, own.input, gradPre, room);
    if (index === 0) break;
    inputGradient(block.linear, gradPre, other, room);
    if (block.skip) addInto(other.subarray(0, gradPre.length), other, passed);
    [passed, other] = [other, passed];
  }
  return loss;
}
