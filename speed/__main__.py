"""`python -m speed PROGRAM`: what the image starts. `api` and `worker`; `serve` is the API as SageMaker starts it."""

from __future__ import annotations

import os
import sys

USAGE = 2


def main(arguments: list[str]) -> int:
    """Run a program until it ends; answers its exit code. A name may have its package before it: speed.api."""
    match [name.removeprefix("speed.") for name in arguments]:
        case ["api"]:
            from speed.api.__main__ import main as run  # noqa: PLC0415 - one program never loads the other's packages
        case ["serve"]:
            from speed.api.__main__ import main as run  # noqa: PLC0415

            os.environ |= _as_sagemaker_asks()
        case ["worker"]:
            from speed.worker.__main__ import main as run  # noqa: PLC0415
        case _:
            print(f"formcast: There is api, worker and serve, and not {' '.join(arguments)!r}.", file=sys.stderr)
            return USAGE
    return run()


def _as_sagemaker_asks() -> dict[str, str]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    return {"FORMCAST_SAGEMAKER": "true", "FORMCAST_HOST": "0.0.0.0", "FORMCAST_PORT": port}  # noqa: S104


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
