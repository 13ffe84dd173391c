"""The network: the papers in plain PyTorch, every stage callable alone."""
