"""The command `python -m fer_jax.compare`."""

from fer_jax.compare.compare import main

if __name__ == "__main__":
    main()
