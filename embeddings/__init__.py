"""Text to vectors: a leaf package, usable alone."""

import os

# ONNX Runtime reports its use unless this is set before it is imported; nothing here speaks to anybody unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
