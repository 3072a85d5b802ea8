"""The HTTP API: answers from precomputed and streamed scores, and scores vectors live."""
