"""What a model of classes says to clips: a row of a table for each person in each of them.

    python -m benchmarks.clips faces FOLDER/*.mp4

Rows of a clip are its windows that show the person. Those that are withheld (ambiguous, unfamiliar,
unreadable) are counted by their reason; labels, sets and entropy are of the others.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import numpy as np

HEAD = ("clip", "person", "rows", "not withheld", "labels, share", "classes in a set",
        "entropy, nats", "withheld")  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("model", help="a name of `fer-jax models`, or the folder of a model")
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    options = parser.parse_args(arguments)
    import fer_jax
    from fer_jax.predict.windows import columns

    model = fer_jax.load_model(options.model)
    if "set" not in columns(model.classes, model.task):
        sys.exit(f"error: {options.model} has no classes: give a model of classes")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for clip in options.clips:
        said: list[str] = []
        table = fer_jax.predict_clips(model, clip, people="all", say=said.append)
        if table.empty:
            why = next((each for each in said if each.startswith("skipped")), "no row")
            why = why.removeprefix("skipped: ").replace(str(clip), pathlib.Path(clip).name)
            print(f"| {pathlib.Path(clip).name} |{' |' * (len(HEAD) - 2)} {why} |", flush=True)
        for person, rows in table[table["frames"] > 0].groupby("person"):
            print(
                f"| {pathlib.Path(clip).name} | {person} | {' | '.join(_row(rows))} |", flush=True
            )


def _row(rows) -> list[str]:
    """Cells of a person.

    Args:
      rows: of `predict_clips`, those that show the person.
    """
    usable = rows[~rows["abstained"]]
    labels = _shares(usable["label"])
    sizes = usable["set"].dropna().str.count(r"\|") + 1
    entropy = usable["entropy"]
    return [
        str(len(rows)),
        str(len(usable)),
        labels,
        f"{sizes.mean():.2f}" if len(sizes) else "",
        f"{entropy.min():.2f} to {entropy.max():.2f}" if len(entropy) else "",
        _shares(rows["reason"][rows["abstained"]]),
    ]


def _shares(values) -> str:
    """`happiness 0.90, neutral 0.10`, the most frequent first."""
    shares = values.value_counts(normalize=True)
    return ", ".join(f"{name} {np.round(share, 2):.2f}" for name, share in shares.items())


if __name__ == "__main__":
    main()
