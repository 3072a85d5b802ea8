"""Entry: says plainly that Python is too old, before anything that old ones cannot read is imported."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (the one file that older interpreters must be able to read)
    found = ".".join(str(part) for part in sys.version_info[:3])
    sys.exit(
        "formcast: Python 3.11 or newer is needed, and %s is %s: install a newer one and name it, "  # noqa: UP031
        "such as `make run PYTHON=python3.11`." % (sys.executable, found)
    )

from bootstrap.setup import main

sys.exit(main())
