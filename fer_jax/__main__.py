"""The command `python -m fer_jax`, the same as `fer-jax`."""

import sys

from fer_jax.commands import main

if __name__ == "__main__":
    sys.exit(main())
