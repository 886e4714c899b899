"""Where the bilinear CNN finds its features: on a network whose answer is known."""

import jax
import numpy as np

from fer_jax.systems.bilinear_cnn import figures
from fer_jax.systems.bilinear_cnn.network import BilinearCNN

SIDE = 16


def test_maps_are_high_where_there_is_something():
    module = BilinearCNN(classes=2, stages=((3, 1), (4, 1)), features=2, pixels="symmetric")
    inputs = np.zeros((2, 1, SIDE, SIDE, 3), np.float32)
    inputs[0, 0, 2:6, 9:13] = inputs[1, 0, 10:14, 2:6] = 1.0  # a bright square in black
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), inputs, train=False))
    positive = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.1, np.float32), dict(shapes))
    maps = figures.feature_maps(module, positive, inputs)
    every = module.apply(positive, inputs, method="maps")
    np.testing.assert_allclose(maps["largest"], np.asarray(every).max(-1), rtol=1e-5)
    np.testing.assert_allclose(maps["mean"], np.asarray(every).mean(-1), rtol=1e-5)
    scale = SIDE / every.shape[-2]
    for place, (row, column) in enumerate(((3.5, 10.5), (11.5, 3.5))):
        for values in maps.values():
            found = np.unravel_index(values[place, 0].argmax(), values[place, 0].shape)
            middle = (np.array(found) + 0.5) * scale - 0.5
            assert np.abs(middle - [row, column]).max() <= scale
