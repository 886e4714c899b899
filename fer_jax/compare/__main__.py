"""The command `python -m fer_jax.compare`, the same as `fer-jax compare`."""

import sys

from fer_jax.commands import named, start

if __name__ == "__main__":
    sys.exit(start(named("fer_jax.commands.compare")))
