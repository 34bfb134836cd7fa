"""The linear classifier with scikit-learn's face, for any table of numbers; the one file here that needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from kopal.arrays import one_hot, softmax
from kopal.fit import linear
from kopal.stopping import MaxSteps, Settled

Floats = NDArray[np.floating[Any]]


class SoftmaxRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Softmax regression by mini-batch gradient descent, columns standardised first.

    `rate` is the learning rate at the start; it falls as 1 / (1 + epoch / 10). Training ends after `epochs`, or when
    no weight moves by more than `tolerance` in one. `penalty` is L2 on the weights of standardised columns.
    """

    def __init__(
        self,
        rate: float = 0.1,
        epochs: int = 200,
        batch: int = 64,
        momentum: float = 0.9,
        penalty: float = 1e-4,
        tolerance: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.rate = rate
        self.epochs = epochs
        self.batch = batch
        self.momentum = momentum
        self.penalty = penalty
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> SoftmaxRegression:  # noqa: N803 - scikit-learn's name
        """Learn from X (N, D) and labels y (N,) of any type. Raises `ValueError` as scikit-learn's estimators do."""
        X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class, {self.classes_[0]!r}; at least two are needed")
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        deviation = X.std(axis=0)
        mean, scale = X.mean(axis=0), np.where(deviation > 0, deviation, 1)
        rows = ((X - mean) / scale).astype(np.float32)
        targets = one_hot(labels.astype(np.int64), len(self.classes_)).astype(np.float32)
        w, b = linear.start(rng, len(self.classes_), X.shape[1])
        learner = linear.LinearLearner(None, w, b, self.momentum, self.penalty)
        watch = (MaxSteps(self.epochs, "epochs") | Settled(self.tolerance)).watch()
        epoch, stopped = 0, ""
        while not stopped:
            before = learner.w.copy()
            order = rng.permutation(len(rows))
            for first in range(0, len(order), self.batch):
                chosen = order[first : first + self.batch]
                loss = learner.learn_rows(rows[chosen], targets[chosen], self.rate / (1 + epoch / 10))
            epoch += 1
            stopped = watch(epoch, loss, float(np.abs(learner.w - before).max()))
        self.n_iter_ = epoch
        self.coef_ = (learner.w / scale).astype(np.float64)
        self.intercept_ = learner.b - self.coef_ @ mean
        return self

    def decision_function(self, X: Any) -> Floats:  # noqa: N803
        """Scores (N, K); with two classes (N,), the second's lead, as scikit-learn wants it."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Probabilities (N, K) in the order of `classes_`."""
        return softmax(self._scores(X))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The likeliest label of each row."""
        best = self._scores(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def _scores(self, X: Any) -> Floats:  # noqa: N803
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        scores: Floats = rows @ self.coef_.T + self.intercept_
        return scores
