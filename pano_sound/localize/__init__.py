"""Where in the picture a sound comes from: one module per cue over the protocol in cue.py, their fusion, and the
networks in nets/ (PyTorch) and compiled/ (OpenVINO)."""
