"""What is wrong with data, what it will do to training, and a mended copy of it."""
