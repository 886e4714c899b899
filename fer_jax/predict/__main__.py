"""The command `python -m fer_jax.predict`, the same as `fer-jax predict`."""

import sys

from fer_jax.commands import named, start

if __name__ == "__main__":
    sys.exit(start(named("fer_jax.commands.predict")))
