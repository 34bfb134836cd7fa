"""A ten-layer perceptron from two starts: with sigma = 0.001 its loss stays where it was, with He's it falls."""

import numpy as np

from kopal.fit.engine import EngineLearner, start
from kopal.nets.mlp import mlp

net = mlp((64,) * 9, 4, (8, 8, 1))
pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), dtype=np.uint8)
labels = np.arange(64) % 4
for init in ("normal", "he"):
    learner = EngineLearner(net, start(net, np.random.default_rng(0), init))
    losses = [learner.learn(pixels, labels, 0.02) for _ in range(100)]
    print(f"{init:6} {losses[0]:.2f} -> {losses[-1]:.2f}")
