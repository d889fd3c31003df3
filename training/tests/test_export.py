import unittest

import numpy as np
import torch

from training import bnet, export
from training.tests.test_models import random_network


def images(count):
    torch.manual_seed(7)
    return torch.rand(count, 3, 64, 64) * 2 - 1


class Fold(unittest.TestCase):
    def setUp(self):
        self.network = random_network()
        self.folded = export.to_arrays(export.fold(self.network, "tiny"))

    def test_the_folded_network_is_the_same_function(self):
        with torch.no_grad():
            expected = self.network(images(4))
        difference = bnet.evaluate(self.folded, images(4)) - expected
        self.assertLess(difference.norm(dim=1).max() / expected.norm(dim=1).min(), 1e-4)

    def test_units_leave_the_function_and_bring_the_range_to_one(self):
        before = bnet.evaluate(self.folded, images(4))
        squares = []
        bnet.evaluate(self.folded, images(4), squares)
        largest = np.stack([s.abs().amax((0, 2, 3)).numpy() for s in squares])
        export.set_units(self.folded, largest)
        squares = []
        after = bnet.evaluate(self.folded, images(4), squares)
        self.assertLess((after - before).abs().max(), 1e-4 * before.norm(dim=1).min())
        per_channel = torch.stack([s.abs().amax((0, 2, 3)) for s in squares]).amax(0)
        np.testing.assert_allclose(per_channel, np.ones(len(per_channel)), rtol=1e-3)
        for layer, square in zip(self.folded.layers[1::2], squares):
            self.assertLess(square.abs().max(), layer.bound)

    def test_settled_norms_normalise(self):
        crops = np.random.default_rng(3).integers(0, 255, (64, 72, 72, 3), np.uint8)
        export.settle_norms(self.network, crops, batch=32)
        inputs = []
        self.network.squares[0].norm.register_forward_hook(lambda m, i, o: inputs.append(o))
        self.network(export.augment.centre(crops))
        self.assertLess(inputs[0].mean((0, 2, 3)).abs().max(), 1e-3)


class File(unittest.TestCase):
    def setUp(self):
        self.network = export.to_arrays(export.fold(random_network(), "tiny"))

    def test_round_trip_in_full_floats_is_exact(self):
        self.network.threshold_verify, self.network.threshold_identify = 0.25, 0.5
        decoded = bnet.decode(bnet.encode(self.network, weight_encoding=1))
        self.assertEqual((decoded.threshold_verify, decoded.threshold_identify), (0.25, 0.5))
        self.assertEqual(decoded.name, "tiny")
        self.assertEqual(decoded.input, self.network.input)
        self.assertTrue(torch.equal(bnet.evaluate(decoded, images(2)),
                                    bnet.evaluate(self.network, images(2))))

    def test_halves_change_little(self):
        decoded = bnet.decode(bnet.encode(self.network))
        expected = bnet.evaluate(self.network, images(2))
        difference = (bnet.evaluate(decoded, images(2)) - expected).norm(dim=1)
        self.assertLess((difference / expected.norm(dim=1)).max(), 0.01)

    def test_damage_is_refused(self):
        content = bytearray(bnet.encode(self.network))
        content[100] ^= 1
        with self.assertRaises(ValueError):
            bnet.decode(bytes(content))

    def test_weights_beyond_halves_are_refused(self):
        self.network.layers[0].weights[0, 0, 0, 0, 0] = 1e6
        with self.assertRaises(ValueError):
            bnet.encode(self.network)


if __name__ == "__main__":
    unittest.main()
