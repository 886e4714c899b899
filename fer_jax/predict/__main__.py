"""The command `python -m fer_jax.predict`."""

import sys

from fer_jax.predict.command import main

if __name__ == "__main__":
    sys.exit(main())
