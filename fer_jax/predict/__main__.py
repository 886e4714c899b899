"""The command `python -m fer_jax.predict`, the same as `fer-jax predict`."""

import sys

from fer_jax.commands import start
from fer_jax.commands.predict import main

if __name__ == "__main__":
    sys.exit(start(main))
