"""`python -m seldon_kafka` is the command `seldon-kafka`."""

from __future__ import annotations

import sys

from seldon_kafka.cli import main

if __name__ == "__main__":
    sys.exit(main())
