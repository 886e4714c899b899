"""Trains and evaluates one experiment: python run.py --config configs/stbln_synthetic.py

The same as `fer-jax train`, see fer_jax/commands/train.py.
"""

import sys

from fer_jax.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
