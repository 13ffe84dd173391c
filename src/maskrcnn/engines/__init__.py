"""Ways to run a model: the network as it is, made fast, or as an exported graph; all give the same detections."""
