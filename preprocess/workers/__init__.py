"""Calls a function for many tasks, in processes of this machine or on a cluster.

`processes.Processes` and `cluster.Cluster` have the same method `each`.
"""

from typing import NamedTuple


class Crash(NamedTuple):
    """Stands for the result of a task that killed whoever worked on it.

    Attributes:
      why: what is known about it, for the report.
    """

    why: str
