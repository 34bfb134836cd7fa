"""The sections of a run's page, one a file: facts in, markup out, nothing where there is nothing to say."""
