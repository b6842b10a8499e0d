"""The networks computed by OpenVINO: the same numbers as PyTorch's, on CPUs faster and without importing PyTorch."""
