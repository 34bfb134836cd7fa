"""A two-layer perceptron in eleven lines of NumPy: it learns exclusive or, which no linear classifier can."""

import numpy as np

rng = np.random.default_rng(1)
x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([[0], [1], [1], [0]])
w1, b1 = rng.normal(size=(2, 8)), np.zeros(8)
w2, b2 = rng.normal(size=(8, 1)), np.zeros(1)
for _ in range(2000):
    z = np.tanh(x @ w1 + b1)
    p = 1 / (1 + np.exp(-(z @ w2 + b2)))
    ds = (p - y) / len(x)
    dz = ds @ w2.T * (1 - z**2)
    w2, b2, w1, b1 = w2 - z.T @ ds, b2 - ds.sum(0), w1 - x.T @ dz, b1 - dz.sum(0)
print(p.round(2).ravel())
