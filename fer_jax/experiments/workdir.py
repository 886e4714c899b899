"""The work directory of a run: who it belongs to."""

from __future__ import annotations

import hashlib
import json
import pathlib

import numpy as np
from ml_collections import ConfigDict

from fer_jax.data import crops
from fer_jax.data.clips import Clips

# Fields that change how a run is computed, not what comes out: a run may go on with others.
_SAME_RUN = (("data", "crops_in_memory_gb"), ("model", "remat"))


class WorkdirError(RuntimeError):
    """The work directory belongs to another experiment."""


def _fingerprint(clips: Clips) -> str:
    """Hash of the clips: names, splits, labels, landmarks (of crops their size and landmarks)."""
    names = [clips.clip_ids, clips.subjects, clips.splits, clips.classes]
    digest = hashlib.sha256(json.dumps(names).encode())
    arrays = [clips.labels, clips.landmarks, clips.graph.edges]
    if clips.frames is not None:
        arrays += [clips.crop_landmarks, np.array(clips.frames.shape)]
    shared = [array for array in arrays if isinstance(array, crops.Shared)]
    arrays = [array for array in arrays if not isinstance(array, crops.Shared)]
    for array in arrays + [part for each in shared for part in (each.values, each.chosen)]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def claim(workdir: pathlib.Path, config: ConfigDict, clips: Clips) -> pathlib.Path:
    """Writes config.json, or checks that the run found there is the same experiment."""
    claim = {**config.to_dict(), "data_fingerprint": _fingerprint(clips)}
    for section, name in _SAME_RUN:
        claim[section].pop(name, None)
    content = json.dumps(claim, indent=1, default=list) + "\n"
    file = workdir / "config.json"
    if not file.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(content)
        partial.replace(file)
        return workdir
    old = json.loads(file.read_text())
    if old != json.loads(content):
        changed = ", ".join(_changes(old, json.loads(content)))
        raise WorkdirError(
            f"{workdir} holds a run with another config ({changed}): "
            f"name another --workdir, or delete it"
        )
    return workdir


def _changes(old: dict, new: dict, prefix: str = "") -> list[str]:
    rows = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            rows += _changes(before, after, f"{prefix}{name}.")
        elif before != after:
            rows.append(f"{prefix}{name}: {before} there, {after} here")
    return rows
