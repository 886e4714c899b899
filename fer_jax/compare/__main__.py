"""The command `python -m fer_jax.compare`, the same as `fer-jax compare`."""

import sys

from fer_jax.commands import start
from fer_jax.commands.compare import main

if __name__ == "__main__":
    sys.exit(start(main))
