import unittest

import torch

from training import bnet, cryptofacenet


class CryptoFaceNet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cryptofacenet.random_network(2)
        cls.images = cryptofacenet.made_up_images(cls.network.geometry(), 3, 9)
        with torch.no_grad():
            cls.expected = cls.network(cls.images)

    def assert_close(self, actual, expected):
        self.assertLess((actual - expected).abs().max() / expected.norm(dim=1).min(), 1e-4)

    def test_has_as_many_parameters_as_published(self):
        def count(module):
            return sum(p.numel() for p in module.parameters())

        self.assertEqual(count(self.network.nets[0]), 170448)
        for patches_per_side, parameters in ((2, 944192), (3, 2124112), (4, 3776000)):
            self.assertEqual(count(cryptofacenet.CryptoFaceNet(patches_per_side)), parameters)

    def test_the_folded_network_is_the_same_function(self):
        folded = cryptofacenet.fold(self.network, "cryptofacenet4")
        self.assertEqual(len(folded.layers), 23)  # multiplicative levels
        self.assert_close(bnet.evaluate(folded, self.images), self.expected)

    def test_units_bring_the_range_to_one_and_leave_the_direction(self):
        folded = cryptofacenet.fold(self.network, "cryptofacenet4")
        cryptofacenet.set_units(folded, self.images)
        squares = []
        embedding = bnet.evaluate(folded, self.images, squares)
        self.assertAlmostEqual(float(embedding.norm(dim=1).mean()), 1, places=3)
        for square in squares:
            self.assertLess((square.abs().amax((0, 2, 3)) - 1).abs().max(), 1e-3)
        self.assert_close(torch.nn.functional.normalize(embedding),
                          torch.nn.functional.normalize(self.expected))

    def test_the_file_holds_it(self):
        content = cryptofacenet.random_file(4)
        network = bnet.decode(content)
        squares = []
        bnet.evaluate(network, self.images, squares)
        bounds = [layer.bound for layer in network.layers if isinstance(layer, bnet.Square)]
        for square, bound in zip(squares, bounds, strict=True):
            self.assertLess(square.abs().max(), bound)
        self.assertEqual(bnet.encode(network), content)


if __name__ == "__main__":
    unittest.main()
