// The Python code that makes the same network with the same start.

import { SCHEMES } from "./schemes.js";

const MODULES = {
  relu: "nn.ReLU()", leaky_relu: "nn.LeakyReLU()", tanh: "nn.Tanh()", sigmoid: "nn.Sigmoid()",
  identity: "nn.Identity()", gelu: "nn.GELU()", gelu_tanh: 'nn.GELU("tanh")', silu: "nn.SiLU()", elu: "nn.ELU()",
  selu: "nn.SELU()", softplus: "nn.Softplus()", softsign: "nn.Softsign()", hardtanh: "nn.Hardtanh()",
};
const NORMS = { none: "nn.Identity()", batch: "nn.BatchNorm1d(width)", layer: "nn.LayerNorm(width)" };
const SINE = "class Sine(nn.Module):\n    def forward(self, x):\n        return x.sin()\n\n\n";

/** The scheme as an argument of init_: the scheme itself, since a bare name may be a recipe that does more. */
function schemeCode({ scheme, size }) {
  const { form, arguments: names } = SCHEMES.get(scheme);
  if (size === null) return `initlab.get_scheme("${scheme}")`;
  const named = names.find((name) => name === (form.mode === "one" ? "std" : "gain"));
  if (named) return `initlab.get_scheme("${scheme}", ${named}=${size})`;
  return `initlab.get_scheme("variance_scaling", scale=${size} * ${size}, mode="${form.mode}",`
    + ` distribution="${form.distribution}")`;
}

export function pythonOf(config) {
  const { inputs, classes, depth, width, activation, norm, skip, seed } = config;
  const around = skip ? "x + y if x.shape == y.shape else y" : "y";
  return `import torch
from torch import nn

import initlab


${activation === "sin" ? SINE : ""}class Block(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, width), ${NORMS[norm]}
        self.activation = ${MODULES[activation] ?? "Sine()"}

    def forward(self, x):
        y = self.activation(self.norm(self.linear(x)))
        return ${around}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [${inputs}] + [${width}] * ${depth}
        self.blocks = nn.Sequential(*map(Block, sizes[:-1], sizes[1:]))
        self.readout = nn.Linear(sizes[-1], ${classes})

    def forward(self, x):
        return self.readout(self.blocks(x))


model = Net()
initlab.init_(model, ${schemeCode(config)}, seed=${seed})
`;
}
