"""A jit for tests of small arrays, whose programs take longer to compile than to run."""

import functools

import jax

quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
