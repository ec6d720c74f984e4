"""`python -m tinygrad_course`: what works on this machine, and what would bring the rest."""

from __future__ import annotations

import sys

from .doctor import main

if __name__ == "__main__":
    sys.exit(main())
