"""The datasets that can be prepared: one file and one row of the table each.

A dataset is a module with
  `clips(source, options) -> Iterator[Clip]`: lists the clips under `--source` without reading them;
    raises `SourceError` if the source does not have the expected layout;
and, if needed,
  `CLASSES`: class names in the order of their ids (default: the labels found, sorted);
  `class_names(options)`: the same if they depend on the options;
  `ACTION_UNITS`: columns of `Sequence.action_units` (default: those of `Clip.codes`);
  `VOTES`: names of the emotions of `Clip.votes`; `OTHER_VOTES`: names of `Clip.other_votes`;
  `vote_names(options)`: the first if they depend on the source;
  `LABEL_FROM_VOTES`: True if classes are those that votes choose;
  `FRAMING`: how faces lie in crops that are not cut here (default: as the options say);
  `IMAGES`: number of images that the 3D Inception-ResNet paper counts in it;
  `notes(kept) -> list[str]`: notes on the clips kept, e.g. too few of a class;
  `add_options(parser)`: its own flags, which are part of what identifies a preparation;
  `CONFIG`: name of the only config that takes it (default: those named SYSTEM_DATASET);
  `has_own_configs(options) -> bool`: whether those fit what the options prepare (default: yes);
  `config_flags(options, system) -> list[str]`: more flags that such a config needs.
Its docstring is its help text.
"""

from . import (
    afew,
    bp4d,
    ckplus,
    cremad,
    disfa,
    fera,
    ferplus,
    manifest,
    mmi,
    oulu,
    ravdess,
    synthetic,
)

DATASETS = {
    "synthetic": synthetic,
    "manifest": manifest,
    "ravdess": ravdess,
    "ckplus": ckplus,
    "oulu": oulu,
    "afew": afew,
    "mmi": mmi,
    "bp4d": bp4d,
    "fera": fera,
    "disfa": disfa,
    "ferplus": ferplus,
    "cremad": cremad,
}
