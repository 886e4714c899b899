"""The outcome of every clip: `report.json` and the tables on the screen."""

from __future__ import annotations

import collections
import dataclasses
import re

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_jax.faces.sequence import ClipError

from . import PREPROCESS_VERSION, spelling
from .clip import Clip
from .pipeline import Outcome

_SHOWN = 10  # rows of a list on the screen; report.json has all


def make_report(
    request: dict,
    clips: list[Clip],
    outcomes: list[Outcome],
    classes,
    own_notes=None,
    images: int = 0,
) -> dict:
    """Builds `report.json`.

    Args:
      request: what identifies a preparation, see `prepare.make_request`.
      clips, outcomes: in the same order.
      classes: class names in the order of their ids.
      own_notes: function of the dataset that returns notes on the clips kept.
      images: number of images that a paper counts in this dataset, 0 if none does.

    Returns:
      `request`, `preprocess_version`, `counts` (clips seen, kept, dropped, read now, reused from
      an earlier run), `tracks` of the clips kept (people found in their files, used as clips, and
      files that show several people), `dropped` (reason -> clips), `classes` and `splits` (clips
      kept in each), `subjects` (kept), `notes` on the whole dataset, and `clips`: one row per clip
      with its outcome (`crop_side` and `crop_bytes` only with crops).
    """
    kept = [clip for clip, outcome in zip(clips, outcomes, strict=True) if not outcome.reason]
    reused = sum(outcome.reused for outcome in outcomes)
    labels = collections.Counter(clip.label for clip in kept)
    return {
        "request": request,
        "preprocess_version": PREPROCESS_VERSION,
        "counts": {
            "seen": len(clips),
            "kept": len(kept),
            "dropped": len(clips) - len(kept),
            "read": len(clips) - reused,
            "reused": reused,
        },
        "tracks": _tracks(clips, outcomes),
        "dropped": dict(collections.Counter(o.reason for o in outcomes if o.reason)),
        "classes": {name: labels[name] for name in classes},
        "splits": dict(collections.Counter(clip.split for clip in kept)),
        "subjects": len({clip.subject for clip in kept}),
        "notes": _lost_classes(clips, labels, classes)
        + _notes(kept, own_notes)
        + _images(outcomes, images)
        + _enlarged(outcomes, request.get("crop_size", 0))
        + _unnamed(clips, outcomes, "people" in request.get("options", {})),
        "clips": [
            _row(clip, outcome, bool(request.get("crop_size")))
            for clip, outcome in zip(clips, outcomes, strict=True)
        ],
    }


def _images(outcomes: list[Outcome], counted: int) -> list[str]:
    """Notes the number of images beside that of the paper."""
    if not counted:
        return []
    own = sum(outcome.frames for outcome in outcomes if not outcome.reason)
    return [f"{own:,} images (3D Inception-ResNet paper: about {counted:,})"]


def _tracks(clips: list[Clip], outcomes: list[Outcome]) -> dict[str, int]:
    found: dict[object, int] = {}
    used = 0
    for position, (clip, outcome) in enumerate(zip(clips, outcomes, strict=True)):
        if not outcome.reason:
            used += 1
            source = clip.source.resolve() if clip.person else position
            found[source] = 1 + outcome.other_faces
    several = sum(count > 1 for count in found.values())
    return {"found": sum(found.values()), "used": used, "files_with_several": several}


def _unnamed(clips: list[Clip], outcomes: list[Outcome], can_be_named: bool) -> list[str]:
    """Notes clips of several people of whom nobody is named, if a column could name one."""
    pairs = zip(clips, outcomes, strict=True)
    count = sum(o.other_faces > 0 and not o.reason and not c.person for c, o in pairs)
    if not count or not can_be_named:
        return []
    return [
        f"{_clips(count)} of several people: the largest face is used; to choose, or to use more "
        "than one, number them in a column person (report.json lists the people of every clip)"
    ]


def _lost_classes(clips: list[Clip], kept: dict[str, int], classes) -> list[str]:
    listed = collections.Counter(clip.label for clip in clips if clip.label)
    return [
        f"class {name}: no clip is left, {count} dropped"
        + ("; it stays in the list of classes" if name in classes else "")
        for name, count in sorted(listed.items())
        if not kept[name]
    ]


def _notes(clips: list[Clip], own_notes) -> list[str]:
    """Notes what prevents training on these clips, or trusting the result."""
    notes = list(own_notes(clips)) if own_notes else []
    notes += spelling.notes((clip.subject for clip in clips), (clip.label for clip in clips))
    labels, splits = {clip.label for clip in clips}, {clip.split for clip in clips}
    if len(labels) == 1 and not any(clip.codes for clip in clips):  # units need no classes
        notes.append(f"one class only ({labels.pop()}): training needs at least two")
    if clips and "train" not in splits:
        notes.append("no clip is in the split train; the graph is that of a mean face")
    found: dict[str, set[str]] = {}
    for clip in clips:
        found.setdefault(clip.subject, set()).add(clip.split)
    torn = {name: sorted(splits) for name, splits in found.items() if len(splits) > 1}
    if torn:
        shown = ", ".join(f"{name} ({', '.join(torn[name])})" for name in list(torn)[:_SHOWN])
        more = f" and {len(torn) - _SHOWN} more" if len(torn) > _SHOWN else ""
        notes.append(
            f"people in more than one split: {shown}{more}; scores will show how well a model "
            "knows these people, not how well it generalises to others"
        )
    return notes


def _enlarged(outcomes: list[Outcome], crop_size: int) -> list[str]:
    sides = [outcome.crop_side for outcome in outcomes if outcome.crop_side]
    if not sides or np.median(sides) >= 0.75 * crop_size:
        return []
    return [
        f"crops are enlarged: in half of the clips the square around the face has "
        f"{np.median(sides):.0f} pixels or fewer; --crops {crop_size} adds no detail"
    ]


def _row(clip: Clip, outcome: Outcome, with_crops: bool) -> dict:
    who = {k: getattr(clip, k) for k in ("clip_id", "subject", "label", "split")}
    row = {**who, "kept": not outcome.reason, **dataclasses.asdict(outcome)}
    if not with_crops:
        del row["crop_side"], row["crop_bytes"]
    return {**row, "note": "; ".join(filter(None, (clip.note, outcome.note)))}


def print_listing(console: Console, clips: list[Clip], classes, own_notes=None) -> None:
    """Prints what a run would read: clips per class and split, people, and problems."""
    usable = [clip for clip in clips if not clip.problem]
    splits = list(dict.fromkeys(clip.split for clip in usable))
    count = collections.Counter((clip.label, clip.split) for clip in usable)
    reasons = collections.Counter(clip.problem.reason for clip in clips if clip.problem)
    dropped = f"; dropped: {_listed(dict(reasons.most_common()))}" if reasons else ""
    _print(console, f"{len(usable)} of {len(clips)} clips would be read{dropped}")
    table = Table()
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    for name in classes:
        table.add_row(Text(name), *(str(count[name, split]) for split in splits))
    for what in ("clips", "people"):
        table.add_row(what, *(str(_size(usable, split, what)) for split in splits), style="bold")
    if usable:
        console.print(table)
    unusable = _rarest_first([c for c in clips if c.problem], lambda clip: clip.problem.reason)
    _print_problems(console, [named(c.clip_id, c.problem) for c in unusable], "dropped", "")
    remarks = [f"{c.clip_id}: {c.note}" for c in usable if c.note]
    _print_problems(console, remarks, "usable, but", "")
    counts = collections.Counter(clip.subject for clip in usable)
    shown = ", ".join(f"{name} {clips}" for name, clips in list(counts.items())[: 3 * _SHOWN])
    more = f" and {len(counts) - 3 * _SHOWN} more" if len(counts) > 3 * _SHOWN else ""
    if len(counts) < len(usable):
        _print(console, f"clips of each person: {shown}{more}")
    for note in _notes(usable, own_notes):
        _print(console, f"note: {note}", "yellow")


def _size(clips: list[Clip], split: str, what: str) -> int:
    inside = [clip for clip in clips if clip.split == split]
    return len(inside) if what == "clips" else len({clip.subject for clip in inside})


def print_summary(console: Console, report: dict) -> None:
    """Prints what was kept, what was dropped and why, and the notes."""
    rows = [row for row in report["clips"] if row["kept"]]
    counts = report["counts"]
    table = Table(show_header=False)
    table.add_row("clips", f"{counts['kept']} kept, {counts['dropped']} dropped")
    if counts["reused"]:
        table.add_row("reused", f"{_clips(counts['reused'])} finished earlier, not read again")
    table.add_row("splits", Text(_listed(report["splits"])))
    table.add_row("classes", Text(_listed(report["classes"])))
    table.add_row("people", str(report["subjects"]))
    frames, detected = (sum(row[key] for row in rows) for key in ("frames", "detected"))
    table.add_row("frames", f"{frames}, a face in {detected} ({detected / max(frames, 1):.1%})")
    if rows and (crop_size := report["request"].get("crop_size")):
        table.add_row("crops", _crops(rows, crop_size))
    tracks = report["tracks"]
    if tracks["files_with_several"]:
        several = (
            "1 file"
            if tracks["files_with_several"] == 1
            else f"{tracks['files_with_several']} files"
        )
        table.add_row(
            "people in files",
            f"{tracks['found']} found, {tracks['used']} used; several in {several}",
        )
    for what, key in (("turned upright", "rotation"), ("with other faces", "other_faces")):
        if count := sum(bool(row[key]) for row in rows):
            table.add_row(what, _clips(count))
    for reason, count in sorted(report["dropped"].items(), key=lambda item: -item[1]):
        table.add_row(f"dropped: {reason}", _clips(count), style="yellow")
    console.print(table)
    dropped = _rarest_first([r for r in report["clips"] if r["reason"]], lambda row: row["reason"])
    problems = [(r["clip_id"], ClipError(r["reason"], r["detail"])) for r in dropped]
    where = ", see report.json" if counts["kept"] else ""  # else none is written
    _print_problems(console, [named(*problem) for problem in problems], "dropped", where)
    remarks = [f"{r['clip_id']}: {r['note']}" for r in rows if r["note"]]
    _print_problems(console, remarks, "kept, but", where)
    for note in report["notes"]:
        _print(console, f"note: {note}", "yellow")


def _crops(rows: list[dict], crop_size: int) -> str:
    sides = [row["crop_side"] for row in rows]
    megabytes = sum(row["crop_bytes"] for row in rows) / 1e6
    return (
        f"{crop_size} x {crop_size} pixels, {megabytes:.1f} MB, from squares of {min(sides):.0f} "
        f"to {max(sides):.0f} pixels (half of the clips {np.median(sides):.0f} or more)"
    )


def _rarest_first(clips: list, reason) -> list:
    """Sorts clips by rarity of their reason, so that many without labels do not hide one broken."""
    count = collections.Counter(map(reason, clips))
    return sorted(clips, key=lambda clip: count[reason(clip)])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"


def named(clip_id: str, problem: ClipError) -> str:
    """Says which clip has a problem and which; a clip that the problem names is named once."""
    if re.search(rf"(^|/){re.escape(clip_id)}[ :]", problem.detail):
        return f"{problem.reason}: {problem.detail}"
    return f"{clip_id}: {problem}"


def _print_problems(console: Console, rows: list[str], word: str, where: str) -> None:
    """Prints the first rows; `where` says where the others stand."""
    for text in rows[:_SHOWN]:
        _print(console, f"{word}: {text}", "yellow")
    if len(rows) > _SHOWN:
        console.print(f"... and {len(rows) - _SHOWN} more{where}", style="yellow")


def _print(console: Console, line: str, style: str = "") -> None:
    """Prints a line with names chosen by the user, in which brackets are not markup."""
    console.print(Text(line, style), soft_wrap=True)
