"""Pictures and words about a finished run."""
