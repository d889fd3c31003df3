import unittest

import torch

from training import bnet, models


def random_network(channels=4, convolutions=3, dimension=8):
    """A network whose normalisations have seen something, so that folding them is no identity."""
    torch.manual_seed(5)
    network = models.PatchNetwork(models.Shape(channels, convolutions, dimension))
    for square in network.squares:
        square.shift.data += 0.3 * torch.randn_like(square.shift)
    network.norm.weight.data.uniform_(0.5, 1.5)
    network.norm.bias.data.normal_()
    network.train()
    for _ in range(5):
        network(torch.rand(16, 3, 64, 64) * 2 - 1)
    return network.eval()


class HelicalPadding(unittest.TestCase):
    def test_a_tap_reads_the_rolled_flattened_map(self):
        torch.manual_seed(1)
        convolution = models.HelicalConvolution(3, 5)
        maps = torch.randn(2, models.PATCHES * 3, 8, 8)
        weights = convolution.weight.detach().view(models.PATCHES, 5, 3, 3, 3)
        flat = maps.view(2, models.PATCHES, 3, 64)
        expected = sum(
            torch.einsum("poi,npiq->npoq", weights[..., dy + 1, dx + 1],
                         torch.roll(flat, -(8 * dy + dx), 3))
            for dy in (-1, 0, 1) for dx in (-1, 0, 1)).reshape(2, models.PATCHES * 5, 8, 8)
        self.assertLess((convolution(maps) - expected).abs().max(), 1e-5)
        self.assertLess((bnet.helical_convolution(maps, weights) - expected).abs().max(), 1e-5)

    def test_gradient_is_that_of_finite_differences(self):
        torch.manual_seed(2)
        rows = torch.randn(2, models.POSITIONS, 1, dtype=torch.float64, requires_grad=True)
        self.assertTrue(torch.autograd.gradcheck(models._HelicalPad.apply, (rows,)))


class ShiftedSquare(unittest.TestCase):
    def test_value(self):
        z, shift = torch.tensor([[2.0]]), torch.tensor([[3.0]])
        expected = models.SQUARE_GAIN * ((2 + 3) ** 2 - 3**2)
        self.assertAlmostEqual(models._NoisySquare.apply(z, shift).item(), expected, places=6)

    def test_gradient_is_that_of_finite_differences(self):
        torch.manual_seed(3)
        z = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
        shift = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
        self.assertTrue(torch.autograd.gradcheck(models._NoisySquare.apply, (z, shift)))

    def test_values_outside_the_range_are_penalised(self):
        limit = models.SLOT_RANGE / 2
        self.assertEqual(models.range_excess(torch.tensor([limit, -limit])), 0)
        self.assertEqual(models.range_excess(torch.tensor([limit + 2, 0])), 2)


class PatchNetwork(unittest.TestCase):
    def test_depth(self):
        self.assertEqual(models.Shape(convolutions=7).depth, 15)

    def test_patches_are_the_quarters_of_the_image(self):
        images = torch.zeros(1, 3, 64, 64)
        images[0, 1, 32 + 5, 2] = 1  # bottom left, green, block (1, 0), pixel (1, 2) of it
        patches = models.to_patches(images)
        self.assertEqual(patches[0, 2 * 48 + (1 * 4 + 2) * 3 + 1, 1, 0], 1)
        self.assertEqual(patches.sum(), 1)

    def test_no_patch_sees_another_before_the_linear_map(self):
        network = random_network()
        images = torch.zeros(1, 3, 64, 64, requires_grad=True)
        maps = network.stem(models.to_patches(images))
        maps = maps + network.convolutions[0](network.squares[0](maps))
        maps[:, :4].sum().backward()
        self.assertTrue(images.grad[..., :32, :32].any())
        self.assertFalse(images.grad[..., 32:].any() or images.grad[..., 32:, :].any())


if __name__ == "__main__":
    unittest.main()
