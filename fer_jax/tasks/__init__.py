"""What models are trained for: `TASKS` has every task under the name that a config gives it."""

from fer_jax.tasks.action_units.task import ActionUnits
from fer_jax.tasks.base import Task
from fer_jax.tasks.classification.task import Classification
from fer_jax.tasks.dimensions.task import Dimensions
from fer_jax.tasks.distribution.task import Distribution

TASKS: dict[str, Task] = {
    "classification": Classification(),
    "action_units": ActionUnits(),
    "dimensional": Dimensions(),
    "distribution": Distribution(),
}
