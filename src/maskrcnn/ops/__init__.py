"""Tensors in, tensors out, no state: boxes, NMS, RoIAlign, masks."""
