"""Trains and evaluates one experiment: python run.py --config configs/stbln_synthetic.py

It is the command `fer-jax train`, see fer_jax/commands/train.py.
"""

from fer_jax.commands import leave, named, start

if __name__ == "__main__":
    leave(start(named("fer_jax.commands.train")))
