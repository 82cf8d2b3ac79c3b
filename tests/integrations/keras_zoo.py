"""Small Keras models: (model, inputs), each by name; keras.applications without weights, and hand-written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

Case = tuple[Any, Any]


def data(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def tokens(batch: int, length: int, vocabulary: int) -> Any:
    return np.random.default_rng(0).integers(0, vocabulary, (batch, length)).astype("int32")


def mlp() -> Case:
    sizes = [layers.Dense(64, activation="relu") for _ in range(3)]
    return keras.Sequential([keras.Input((32,)), *sizes, layers.Dense(10)]), data(64, 32)


def cnn() -> Case:
    x = inputs = keras.Input((16, 16, 3))
    x = layers.BatchNormalization()(layers.Conv2D(64, 3, strides=2, padding="same", use_bias=False)(x))
    x = layers.Activation("gelu")(x)
    x = layers.Conv2DTranspose(64, 4, strides=2, padding="same", activation="silu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)
    x = layers.MaxPooling2D()(layers.SeparableConv2D(64, 3, activation="tanh")(x))
    x = layers.LayerNormalization()(layers.Dropout(0.5)(layers.Flatten()(x)))
    return keras.Model(inputs, layers.Dense(10)(x)), data(16, 16, 16, 3)


def _block(x: Any, width: int, stride: int) -> Any:
    y = layers.BatchNormalization()(layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x))
    y = layers.Conv2D(width, 3, padding="same", use_bias=False)(layers.ReLU()(y))
    y = layers.BatchNormalization()(y)
    if x.shape != y.shape:
        x = layers.Conv2D(width, 1, stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.Add()([x, y]))


def resnet() -> Case:
    inputs = keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3, padding="same", use_bias=False)(inputs)))
    for width, stride in ((32, 1), (64, 2), (64, 1)):
        x = _block(x, width, stride)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x))), data(16, 16, 16, 3)


class GPT(keras.Model):
    """Subclassed, with raw positions."""

    def __init__(self, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        self.table = layers.Embedding(50, width)
        self.positions = layers.Embedding(16, width, name="positions")
        self.norms = [layers.LayerNormalization() for _ in range(2 * depth + 1)]
        self.attentions = [layers.MultiHeadAttention(4, width // 4) for _ in range(depth)]
        self.up = [layers.Dense(4 * width, activation="gelu") for _ in range(depth)]
        self.down = [layers.Dense(width) for _ in range(depth)]
        self.head = layers.Dense(50, name="head")

    def call(self, ids: Any) -> Any:
        h = self.table(ids) + self.positions(keras.ops.arange(ids.shape[1]))
        for i, attention in enumerate(self.attentions):
            y = self.norms[2 * i](h)
            h = h + attention(y, y, use_causal_mask=True)
            h = h + self.down[i](self.up[i](self.norms[2 * i + 1](h)))
        return self.head(self.norms[-1](h))


def gpt() -> Case:
    model, ids = GPT(), tokens(8, 16, 50)
    model(ids)
    return model, ids


def recurrent() -> Case:
    x = inputs = keras.Input((6, 32))
    x = layers.LSTM(32, return_sequences=True)(x)
    x = layers.Bidirectional(layers.GRU(32))(x)
    return keras.Model(inputs, layers.Dense(3)(x)), data(16, 6, 32)


def nested_and_shared() -> Case:
    inner = keras.Sequential([keras.Input((32,)), layers.Dense(32, activation="relu"), layers.Dense(32)], name="inner")
    one, two = keras.Input((32,)), keras.Input((32,))
    shared = layers.Dense(32, activation="tanh")
    return keras.Model([one, two], layers.Dense(5)(shared(inner(one)) + shared(two))), [data(64, 32), data(64, 32) + 1]


def grouped_queries() -> Case:
    inputs = keras.Input((8, 32))
    y = layers.RMSNormalization()(inputs)
    x = inputs + layers.GroupQueryAttention(8, 4, 2)(y, y)
    x = layers.Conv1D(32, 3, padding="same", activation="elu")(x)
    return keras.Model(inputs, layers.EinsumDense("abc,cd->abd", (None, 8))(x)), data(8, 8, 32)


def application(name: str, size: int, **arguments: Any) -> Callable[[], Case]:
    def make() -> Case:
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None, **arguments
        )
        return model, data(4, size, size, 3)

    return make


APPLICATIONS = ("MobileNet", "MobileNetV3Small", "ResNet50V2")
ZOO: dict[str, Callable[[], Case]] = {
    "MLP": mlp,
    "CNN": cnn,
    "ResNet": resnet,
    "GPT": gpt,
    "LSTM and GRU": recurrent,
    "nested and shared": nested_and_shared,
    "grouped queries": grouped_queries,
    "MobileNet": application("MobileNet", 32, alpha=0.25),
    "MobileNetV3Small": application("MobileNetV3Small", 32, include_preprocessing=False),
    "ResNet50V2": application("ResNet50V2", 32),
}
