"""Writes a trained model as an ONNX file, which predicts without JAX.

    fer-jax export faces --onnx faces.onnx
    fer-jax export faces --onnx faces_mc.onnx --mc-dropout

The file takes landmarks or face crops and gives calibrated probabilities (of dimensions: values).
With --mc-dropout it also takes the masks of dropout and gives the samples. It needs jax2onnx, in an
environment of its own. onnxruntime must give the numbers of the model on random clips, or nothing
is written.

Exit codes: 0; 1 if the model cannot be read or converted, or the file not be written; 2 if an
option is wrong; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from fer_jax import installation, shipped
from fer_jax.machine import printable, storage_error


def main(arguments: list[str] | None = None, prog: str = "fer-jax export") -> int:
    """Runs the command line; returns the exit code."""
    options = _parser(prog).parse_args(arguments)
    from fer_jax.export import onnx_file  # imports jax, which --help does without
    from fer_jax.predict.load import load_model

    try:
        onnx_file.check_libraries()
        predictor = load_model(options.bundle)
        difference = onnx_file.export(
            predictor, options.onnx, terms(options.bundle, predictor), masks=options.mc_dropout
        )
    except installation.NotInstalledError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        said = storage_error(error) if getattr(error, "errno", None) else error
        print(f"error: {printable(said)}", file=sys.stderr)
        return 1
    size = options.onnx.stat().st_size / 1e6
    print(
        f"{printable(options.onnx)}: {size:.1f} MB; onnxruntime differs by at most {difference:.1g}"
    )
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bundle",
        metavar="BUNDLE",
        help="a name of `fer-jax models`, or the folder of a model (model/ of a run)",
    )
    parser.add_argument("--onnx", metavar="FILE", type=pathlib.Path, required=True)
    parser.add_argument(
        "--mc-dropout",
        action="store_true",
        help="predicts by MC dropout, with the masks as inputs; default: without dropout",
    )
    return parser


def terms(bundle: str, predictor) -> str:
    """Who may use the model for what: of the zoo, or that nobody says it."""
    from fer_jax.zoo import ZOO

    if bundle in ZOO and shipped.locate(bundle) != bundle:
        return ZOO[bundle].terms
    data = predictor.record.dataset.get("name", "unknown data")
    return f"not stated: read those of the data that the model was trained on ({data})"
