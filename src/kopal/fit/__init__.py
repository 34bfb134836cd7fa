"""Ways of learning, one a file. Fitting sees the train part only."""
