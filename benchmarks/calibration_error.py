"""How often the interval of the calibration error holds the true one, and what is left of the bias.

    python benchmarks/calibration_error.py [trials]

Confidences are uniform from 0.4 to 1, and answers right less often by a known error. ± is the standard error.
"""

from __future__ import annotations

import sys

import numpy as np

from header import print_header
from kopal.trust.reliability import bins, debiased_ece, ece, ece_interval


def main() -> None:
    trials = int(sys.argv[1]) if sys.argv[1:] else 100
    print_header("The interval of the calibration error holds the true one in 95 of 100 cases")
    print("photos  true   as found  debiased  held           mean width")
    for n in (100, 300, 1000):
        for true in (0.0, 0.03, 0.1, 0.3):
            held, width, plain, debiased = [], [], [], []
            for seed in range(trials):
                rng = np.random.default_rng(seed)
                confidence = rng.uniform(0.4, 1, n)
                right = rng.random(n) < confidence - true
                low, high = ece_interval(confidence, right, seed)
                rows = bins(confidence, right)
                held.append(low <= true <= high)
                width.append(high - low)
                plain.append(ece(rows))
                debiased.append(debiased_ece(rows))
            share = np.mean(held)
            print(
                f"{n:6}  {true:.2f}  {np.mean(plain):9.3f}  {np.mean(debiased):8.3f}  {share:.3f} ± "
                f"{(share * (1 - share) / trials) ** 0.5:.3f}  {np.mean(width):10.3f}"
            )


if __name__ == "__main__":
    main()
