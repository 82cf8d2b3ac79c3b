"""The architectures of the recorded cells: a name, what kind it is, how it is built, and what it trains on."""

from __future__ import annotations

from torch import nn

from benchmarks.verdict import tasks
from benchmarks.verdict.drawn_architectures import DRAWN
from benchmarks.verdict.fresh_architectures import FRESH
from benchmarks.verdict.layouts import (
    Architecture,
    ConvAutoencoder,
    Depthwise,
    Gated,
    Highway,
    Mixer,
    Recurrent,
    RecurrentLM,
    Residual,
    ResidualCNN,
    Sine,
    Transformer,
    autoencoder,
    cnn,
    fitting,
    mlp,
)
from benchmarks.verdict.more_architectures import MORE
from benchmarks.verdict.unseen_architectures import UNSEEN

_A, _F = Architecture, fitting
_BN1, _LN = nn.BatchNorm1d, nn.LayerNorm
FIRST: tuple[Architecture, ...] = (
    _A("mlp 1x16 relu", "mlp", lambda: mlp(1, 16, nn.ReLU), tasks.digits),
    _A("mlp 2x32 tanh", "mlp", lambda: mlp(2, 32, nn.Tanh), tasks.digits),
    _F("mlp 3x200 relu", "mlp", lambda i, o: mlp(3, 200, nn.ReLU, features=i, out=o), tasks.mnist_flat),
    _A("mlp 3x5 tanh", "mlp", lambda: mlp(3, 5, nn.Tanh), tasks.digits),
    _A("mlp 2x512 gelu", "mlp", lambda: mlp(2, 512, nn.GELU), tasks.digits),
    _A("mlp 5x100 sigmoid", "mlp", lambda: mlp(5, 100, nn.Sigmoid), tasks.digits),
    _A("mlp 2x64 sigmoid", "mlp", lambda: mlp(2, 64, nn.Sigmoid), tasks.digits),
    _A("mlp 8x64 sigmoid", "mlp", lambda: mlp(8, 64, nn.Sigmoid), tasks.digits),
    _A("mlp 20x64 relu", "mlp", lambda: mlp(20, 64, nn.ReLU), tasks.digits),
    _A("mlp 20x64 tanh", "mlp", lambda: mlp(20, 64, nn.Tanh), tasks.digits),
    _A("mlp 10x80 gelu", "mlp", lambda: mlp(10, 80, nn.GELU), tasks.digits),
    _A("mlp 7x64 mish", "mlp", lambda: mlp(7, 64, nn.Mish), tasks.digits),
    _A("mlp 12x48 selu", "mlp", lambda: mlp(12, 48, nn.SELU), tasks.digits),
    _A("mlp 4x64 sine", "mlp", lambda: mlp(4, 64, Sine), tasks.digits),
    _A("mlp 5x64 relu batch-norm", "normed mlp", lambda: mlp(5, 64, nn.ReLU, _BN1), tasks.digits),
    _A("mlp 12x64 elu layer-norm", "normed mlp", lambda: mlp(12, 64, nn.ELU, _LN), tasks.digits),
    _A("mlp 16x64 relu layer-norm", "normed mlp", lambda: mlp(16, 64, nn.ReLU, _LN), tasks.digits),
    _A("mlp 20x48 tanh batch-norm", "normed mlp", lambda: mlp(20, 48, nn.Tanh, _BN1), tasks.digits, slow=True),
    _F("mlp 3x64 relu cancer", "table", lambda i, o: mlp(3, 64, nn.ReLU, features=i, out=o), tasks.cancer),
    _F("mlp 2x16 tanh diabetes", "table", lambda i, o: mlp(2, 16, nn.Tanh, features=i, out=o), tasks.diabetes),
    _F("mlp 4x32 relu batch-norm cancer", "table", lambda i, o: mlp(4, 32, nn.ReLU, _BN1, i, o), tasks.cancer),
    _F("mlp 8x50 selu curve", "regression", lambda i, o: mlp(8, 50, nn.SELU, features=i, out=o), tasks.curve),
    fitting(
        "mlp 4x40 softsign curve", "regression", lambda i, o: mlp(4, 40, nn.Softsign, features=i, out=o), tasks.curve
    ),
    fitting(
        "mlp 6x64 leaky curve", "regression", lambda i, o: mlp(6, 64, nn.LeakyReLU, features=i, out=o), tasks.curve
    ),
    _F("mlp 3x128 silu layer-norm curve", "regression", lambda i, o: mlp(3, 128, nn.SiLU, _LN, i, o), tasks.curve),
    _A("residual 8x48 relu", "residual mlp", lambda: Residual(8, 48, nn.ReLU, norm=False), tasks.digits),
    _A("residual 6x48 gelu layer-norm", "residual mlp", lambda: Residual(6, 48, nn.GELU, norm=True), tasks.digits),
    _A("residual 24x32 relu", "residual mlp", lambda: Residual(24, 32, nn.ReLU, norm=False), tasks.digits, slow=True),
    _A("residual 8x48 layer-scale", "residual mlp", lambda: Residual(8, 48, nn.GELU, True, 1e-4), tasks.digits),
    _A("residual 6x48 gate 0", "residual mlp", lambda: Residual(6, 48, nn.ReLU, False, 0.0), tasks.digits),
    _A("cnn 3x8 tanh", "cnn", lambda: cnn(3, 8, nn.Tanh), tasks.digit_images),
    _A("cnn 4x16 relu", "cnn", lambda: cnn(4, 16, nn.ReLU), tasks.digit_images),
    _A("cnn 4x12 relu mnist", "cnn", lambda: cnn(4, 12, nn.ReLU), tasks.mnist, slow=True),
    _A("cnn 8x12 elu", "cnn", lambda: cnn(8, 12, nn.ELU), tasks.digit_images, slow=True),
    _A("cnn 6x16 silu batch-norm", "cnn", lambda: cnn(6, 16, nn.SiLU, norm=True), tasks.digit_images, slow=True),
    _A("depthwise 4x24", "cnn", lambda: Depthwise(4, 24), tasks.mnist, slow=True),
    _A("resnet 3x12 batch-norm", "resnet", lambda: ResidualCNN(3, 12, nn.BatchNorm2d), tasks.digit_images),
    _A("resnet 8x8 batch-norm", "resnet", lambda: ResidualCNN(8, 8, nn.BatchNorm2d), tasks.digit_images, slow=True),
    _A(
        "resnet 3x12 group-norm",
        "resnet",
        lambda: ResidualCNN(3, 12, lambda w: nn.GroupNorm(4, w)),
        tasks.mnist,
        slow=True,
    ),
    _A(
        "resnet 4x12 no norm",
        "resnet",
        lambda: ResidualCNN(4, 12, lambda w: nn.Identity()),
        tasks.digit_images,
        slow=True,
    ),
    _F("rnn 48", "recurrent", lambda i, o: Recurrent(nn.RNN, i, 48, 1, o), tasks.digit_rows),
    _F("lstm 48", "recurrent", lambda i, o: Recurrent(nn.LSTM, i, 48, 1, o), tasks.digit_rows),
    _F("gru 2x48", "recurrent", lambda i, o: Recurrent(nn.GRU, i, 48, 2, o), tasks.digit_rows),
    _F("gru 32 adding", "recurrent", lambda i, o: Recurrent(nn.GRU, i, 32, 1, o), tasks.adding),
    _A("lstm lm 48", "recurrent", lambda: RecurrentLM(nn.LSTM, 48), tasks.chain),
    _A("rnn lm 64", "recurrent", lambda: RecurrentLM(nn.RNN, 64), tasks.chain),
    _A("transformer 2x32 pre-norm", "transformer", lambda: Transformer(2, 32, True), tasks.chain, slow=True),
    _A(
        "transformer 4x32 pre-norm dropout",
        "transformer",
        lambda: Transformer(4, 32, True, 0.1),
        tasks.chain,
        slow=True,
    ),
    _A("transformer 2x48 post-norm", "transformer", lambda: Transformer(2, 48, False), tasks.chain, slow=True),
    _A(
        "transformer 3x32 rows", "transformer", lambda: Transformer(3, 32, True, rows=True), tasks.digit_rows, slow=True
    ),
    _A("mixer 3x24", "mixer", lambda: Mixer(3, 24), tasks.digit_rows),
    _A("mixer 6x16", "mixer", lambda: Mixer(6, 16), tasks.digit_rows, slow=True),
    _A("glu 3x48", "gated", lambda: Gated(3, 48, nn.Sigmoid), tasks.digits),
    _A("swiglu 4x48 skip", "gated", lambda: Gated(4, 48, nn.SiLU, skip=True), tasks.digits),
    _F("swiglu 3x64 curve", "gated", lambda i, o: Gated(3, 64, nn.SiLU, i, o), tasks.curve),
    _A("highway 10x48", "gated", lambda: Highway(10, 48), tasks.digits),
    _A("highway 30x32", "gated", lambda: Highway(30, 32), tasks.digits, slow=True),
    _A("autoencoder leaky", "autoencoder", lambda: autoencoder((64, 64, 32, 64, 64), nn.LeakyReLU), tasks.pixels),
    _A(
        "autoencoder tanh deep", "autoencoder", lambda: autoencoder((64, 48, 32, 16, 32, 48, 64), nn.Tanh), tasks.pixels
    ),
    _A("autoencoder conv", "autoencoder", lambda: ConvAutoencoder(12), tasks.pixels_alike, slow=True),
)
WAVES: dict[int, tuple[Architecture, ...]] = {1: FIRST, 2: MORE, 3: DRAWN, 4: UNSEEN, 5: FRESH}
BY_NAME = {a.name: a for wave in WAVES.values() for a in wave}
