"""The framing of the face crops in the terminal and in the report."""

import types

import numpy as np
import pytest

from configs import base
from fer_jax.data import load
from fer_jax.data.clips import Crops
from fer_jax.experiments import report, validate
from fer_jax.faces.landmarks import ALIGNED, BOX, EYES, FER2013


def lines(framing, wanted=""):
    config = base.get_config()
    config.data.dataset, config.data.framing = "ckplus", wanted
    crops = None if framing is None else Crops(None, np.zeros(0), framing)
    return report.framing(config, types.SimpleNamespace(crops=crops))


@pytest.mark.parametrize(
    ("framing", "wanted", "text"),
    [
        (ALIGNED, "", "Framing of the face crops: aligned."),
        (EYES, "eyes", "Framing of the face crops: eyes."),
        (FER2013, "", "Framing of the face crops: the dataset's own."),
        (
            ALIGNED,
            "eyes",
            "aligned, not eyes as the config says: prepare ckplus with --framing eyes",
        ),
        (BOX, "aligned", "box, not aligned as the config says"),
        (FER2013, "box", "the dataset's own, not box as the config says"),
    ],
)
def test_framing_is_said_with_what_the_config_asks_for(framing, wanted, text):
    (line,) = lines(framing, wanted)
    assert text in line


def test_landmarks_have_no_framing():
    assert lines(None, "eyes") == []


def test_unknown_framing_is_refused():
    config = base.get_config()
    config.data.framing = "square"
    with pytest.raises(ValueError, match="data.framing=square: use one of .*'aligned', 'eyes', 'b"):
        validate.check(config)


def test_command_to_prepare_names_the_framing(tmp_path):
    with pytest.raises(load.NotPreparedError, match="--crops 64 --framing eyes$"):
        load.load_clips(tmp_path, 4, "padded", "ckplus", 64, framing="eyes")
    with pytest.raises(load.NotPreparedError, match="--crops 64$"):
        load.load_clips(tmp_path, 4, "padded", "ckplus", 64)
