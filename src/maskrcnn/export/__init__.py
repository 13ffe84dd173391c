"""A model that leaves: files that other programs run, and a report of how well they agree with it."""
