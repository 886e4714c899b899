"""Says where a dataset comes from, and which command prepares it."""

from __future__ import annotations

from fer_jax.installation import PREPROCESS, prepare_command


class NotPreparedError(RuntimeError):
    """The dataset has not been prepared, or is damaged; the message says how to prepare it."""


def crops_flag(crop_size: int) -> str:
    """The flag that prepares crops of which a model sees the middle `crop_size` pixels."""
    margin = crop_size // 7 if crop_size % 7 == 0 else 0  # 224 of 256 pixels, all of 64
    return f"--crops {crop_size + margin if crop_size else 256}"


def not_prepared_message(
    path, dataset: str, crop_size: int | None = None, framing: str = ""
) -> str:
    """Says that a dataset is missing, how to get it and how to prepare it."""
    # Clips of a dataset without a reader are listed in a manifest.
    own = dataset != "manifest" and (PREPROCESS / "datasets" / f"{dataset}.py").is_file()
    see_help = f"{prepare_command()} {dataset} --help says what it reads"
    listed = (
        "list its clips in a CSV with the columns path,subject,label (and split), "
        "docs/data/own_clips.md"
    )
    licensed = "It is licensed: request it from {} and unpack it into DIR"
    database = dataset.removeprefix("synthetic_") if dataset.startswith("synthetic_") else ""
    origin = {
        "synthetic": "It needs no download",
        "ravdess": "It is free: FacialTracking_Actors_01-24.zip of Zenodo record 3255102, or "
        "raw_motion_speech.zip of record 13243600 (FELT)",
        "buhmap": "It is free (MIT, Porta-Lorenzo et al., Sensors 2022): take the OpenFace CSVs of "
        "BUHMAP_Features and " + listed,
        "lse": "It is free (MIT, Porta-Lorenzo et al., Sensors 2022): cut the OpenFace CSVs of "
        "LSE_GFE_Features at their labels, docs/data/datasets.md, and " + listed,
        "ckplus": licensed.format("the owners of the Cohn-Kanade database"),
        "oulu": licensed.format("the University of Oulu"),
        "afew": licensed.format("the EmotiW organisers"),
        "mmi": licensed.format("the owners of the MMI facial expression database"),
        "bp4d": licensed.format("Binghamton University"),
        "fera": licensed.format("the owners of GEMEP-FERA 2011"),
        "disfa": licensed.format("the owners of DISFA"),
        "cremad": "It is free (Open Database License): clone "
        "github.com/CheyneyComputerScience/CREMA-D with Git LFS as DIR",
        "ferplus": "Put fer2013new.csv (MIT, github.com/microsoft/FERPlus) and fer2013.csv (for "
        "research; Kaggle, Challenges in Representation Learning) into DIR",
    }.get("synthetic" if database else dataset, see_help if own else listed[0].upper() + listed[1:])
    reader = dataset if own else "manifest"
    reader = f"synthetic --database {database}" if database else reader
    source = {"synthetic": "", "manifest": " --source FILE.csv"}.get(
        reader.split()[0], " --source DIR"
    )
    flags = "" if crop_size is None else f" {crops_flag(crop_size)}"
    # drawn to cut crops, or to find the landmarks in video instead of taking the known ones
    if (crop_size is not None and dataset in ("buhmap", "lse")) or str(path).endswith("_rendered"):
        flags += " --render"
    if crop_size is not None and framing not in ("", "aligned"):
        flags += f" --framing {framing}"
    if dataset == "ferplus" and (crop_size or 0) < 48:
        flags = ""  # its images are crops, 48 pixels a side
    return (
        f"{dataset} is not prepared in {path} (no dataset_info.json). {origin}. "
        f"Prepare it: {prepare_command()} {reader}{source} --out {path}{flags}"
    )
