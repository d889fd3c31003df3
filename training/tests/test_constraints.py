import unittest

import torch

from training import constraints, models


class Variants(unittest.TestCase):
    def test_each_learns_from_every_weight_it_has(self):
        images = torch.rand(8, 3, 64, 64) * 2 - 1
        for name, lifted in constraints.VARIANTS.items():
            torch.manual_seed(1)
            network = models.PatchNetwork(models.Shape(channels=4, convolutions=3, dimension=8))
            for lift in lifted:
                lift(network)
            loss = network(images).square().sum() + network.range_penalty()
            loss.backward()
            self.assertTrue(torch.isfinite(loss), name)
            for weight, parameter in network.named_parameters():
                self.assertIsNotNone(parameter.grad, (name, weight))

    def test_pixels_come_back_from_patches(self):
        images = torch.rand(2, 3, 64, 64)
        pixels = constraints.to_pixels(models.to_patches(images))
        second = pixels.view(2, models.PATCHES, 3, 32, 32)[:, 1]  # the upper right one
        self.assertTrue(torch.equal(second, images[:, :, :32, 32:]))

    def test_zero_padding_sees_nothing_beyond_the_map(self):
        network = models.PatchNetwork(models.Shape(channels=4, convolutions=2, dimension=8))
        constraints.lift_padding(network)
        maps = torch.zeros(1, models.PATCHES * 4, 8, 8)
        maps[..., 7] = 1.0
        self.assertEqual(network.convolutions[0](maps)[..., 0].abs().max(), 0)


if __name__ == "__main__":
    unittest.main()
