import unittest

import torch

from training import augment, bnet, export, models, unfold


def trained_network(shape):
    """Random weights, shifts and statistics that are no round numbers."""
    torch.manual_seed(3)
    network = models.PatchNetwork(shape)
    for square in network.squares:
        torch.nn.init.normal_(square.shift, 1.5, 0.3)
    torch.nn.init.normal_(network.norm.bias, 0, 0.1)
    network.train()
    network(torch.rand(64, 3, 64, 64) * 2 - 1)
    return network.eval()


class Unfolding(unittest.TestCase):
    def setUp(self):
        self.shape = models.Shape(4, 3, 8)
        self.folded = export.to_arrays(export.fold(trained_network(self.shape), "made up"))
        self.images = torch.rand(32, 3, 64, 64) * 2 - 1

    def test_it_has_the_function_of_the_file(self):
        network = unfold.unfold(self.folded, self.images).eval()
        expected = bnet.evaluate(self.folded, self.images)
        with torch.no_grad():
            torch.testing.assert_close(network(self.images), expected, rtol=1e-3, atol=1e-4)

    def test_its_statistics_are_those_of_the_images(self):
        network = unfold.unfold(self.folded, self.images)
        expected = network.eval()(self.images)
        for square in network.squares:
            square.noise = 0.0
        with torch.no_grad():
            torch.testing.assert_close(network.train()(self.images), expected, rtol=0, atol=1e-2)

    def test_growing_changes_nothing(self):
        network = unfold.unfold(self.folded, self.images).eval()
        grown = unfold.grow(network, models.Shape(4, 6, 8)).eval()
        with torch.no_grad():
            torch.testing.assert_close(grown(self.images), network(self.images))

    def test_nothing_shrinks(self):
        network = unfold.unfold(self.folded, self.images)
        with self.assertRaises(ValueError):
            unfold.grow(network, models.Shape(4, 2, 8))


if __name__ == "__main__":
    unittest.main()
