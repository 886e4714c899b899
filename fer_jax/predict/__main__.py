"""The command `python -m fer_jax.predict`."""

import sys

from fer_jax.predict.api import main

if __name__ == "__main__":
    sys.exit(main())
