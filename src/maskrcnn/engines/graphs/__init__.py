"""A trained model as one graph that needs no Python of ours: ONNX, torch.export and TorchScript files."""
