"""The networks computed by OpenVINO: the same numbers as PyTorch's, on CPUs faster and without importing PyTorch."""

import sys

if "openvino" not in sys.modules:
    # OpenVINO imports its converter of models, and telemetry with it, if it finds them. All the rest takes a fifth of
    # that time.
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]
    import openvino  # noqa: F401

    del sys.modules["openvino.tools.ovc"]
