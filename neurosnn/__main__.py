"""``python -m neurosnn`` is the command ``neurosnn``."""

import sys

from neurosnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
