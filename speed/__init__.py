"""What answers need: the contract, the scorer, score stores, the API, the queue worker and the stream's Lambda."""

import os

# onnxruntime would ask for its vendor's collector, and keep events with a device id, the interpreter's path and the
# model's name in the home folder. It decides when it is loaded, and only what is below here loads it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
