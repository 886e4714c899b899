"""The command `python -m fer_jax.predict`, the same as `fer-jax predict`."""

from fer_jax.commands import leave, named, start

if __name__ == "__main__":
    leave(start(named("fer_jax.commands.predict")))
