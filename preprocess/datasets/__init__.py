"""The data sets that can be prepared: one file and one row each.

A data set is a module with
  `clips(source, options) -> Iterator[Clip]`: lists the clips under `--source`, reads none of them;
    raises `SourceError` where the source is not what it expects;
and, where it needs them,
  `CLASSES`: class names in the order of their ids (else the names found, sorted);
  `ACTION_UNITS`: names of the columns of `Sequence.action_units`;
  `add_options(parser)`: flags of its own; they are part of what makes a preparation the same.
Its docstring is its help text.
"""

from preprocess.datasets import manifest, ravdess, synthetic

DATASETS = {
    "synthetic": synthetic,
    "manifest": manifest,
    "ravdess": ravdess,
}
