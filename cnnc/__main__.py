"""``python -m cnnc`` is the ``cnnc`` command."""

from __future__ import annotations

import sys

from cnnc.cli import main

if __name__ == "__main__":
    sys.exit(main())
