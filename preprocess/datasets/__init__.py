"""The datasets that can be prepared: one file and one row each.

A dataset is a module with
  `clips(source, options) -> Iterator[Clip]`: lists the clips under `--source`, reads none of them;
    raises `SourceError` where the source is not what it expects;
and, where it needs them,
  `CLASSES`: class names in the order of their ids (else the names found, sorted);
  `class_names(options)`: the same where they depend on the options;
  `ACTION_UNITS`: names of the columns of `Sequence.action_units` (else those of `Clip.codes`);
  `VOTES`: names of the emotions of `Clip.votes`;
  `FRAMING`: how faces lie in crops that are not cut here (else aligned);
  `notes(kept) -> list[str]`: what to say about all clips that are kept, e.g. too few of a class;
  `add_options(parser)`: flags of its own; they are part of what makes a preparation the same;
  `CONFIG`: name of the one config that takes it (else those called SYSTEM_NAME are looked for);
  `has_own_configs(options) -> bool`: whether those take what the options prepare (else they do);
  `config_flags(options, system) -> list[str]`: what else such a config has to be told.
Its docstring is its help text.
"""

from . import (
    afew,
    bp4d,
    ckplus,
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
}
