"""The command `python -m fer_jax`, the same as `fer-jax`."""

from fer_jax.commands import program

if __name__ == "__main__":
    program()
