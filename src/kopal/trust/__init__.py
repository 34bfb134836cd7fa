"""What an answer is worth, from labels and probabilities alone: calibration, intervals, sets, promises, drift."""
