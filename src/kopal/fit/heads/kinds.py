"""Every kind of head by its name; "logistic" is the softmax regression of `fit/frozen.py`."""

from __future__ import annotations

from kopal.fit.heads.knn import KNN
from kopal.fit.heads.linear import LDA
from kopal.fit.heads.mlp import MLP
from kopal.fit.heads.naive_bayes import NAIVE_BAYES
from kopal.fit.heads.svm import SVM
from kopal.fit.heads.trees import FOREST, TREE

KINDS = {kind.name: kind for kind in (SVM, KNN, NAIVE_BAYES, LDA, TREE, FOREST, MLP)}
