"""Networks as data: `layers` is the alphabet, `net` the value, `run` the one walk, one architecture a file."""
