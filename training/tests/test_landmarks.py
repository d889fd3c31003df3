import unittest

import numpy as np
import torch

from training import landmarks


class Transforms(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.transforms = landmarks.matrices(landmarks.random_corrections(6))

    def test_inverse_undoes(self):
        errors = landmarks.landmark_errors(
            landmarks.compose(self.transforms, landmarks.inverse(self.transforms)))
        self.assertLess(errors.max(), 1e-3)

    def test_a_shift_displaces_landmarks_by_its_length(self):
        shift = landmarks.matrices(torch.tensor([[0.0, 0, 3, 4]]))
        self.assertAlmostEqual(landmarks.landmark_errors(shift).item(), 5, places=4)


class Views(unittest.TestCase):
    def test_a_placement_moves_what_is_seen(self):
        ramp = torch.arange(72.0).view(1, 1, 1, 72).expand(1, 1, 72, 72)
        still = landmarks.matrices(torch.zeros(1, 4))
        seen = landmarks.views(ramp, still)
        self.assertAlmostEqual(seen.mean().item(), 0, places=5)
        steps = seen[0, 0, 0].diff()
        self.assertLess((steps - steps[0]).abs().max(), 1e-3)

    def test_a_shift_of_one_view_pixel_is_one_pixel(self):
        torch.manual_seed(2)
        rough = torch.randn(1, 1, 9, 9)
        greys = torch.nn.functional.interpolate(rough, (72, 72), mode="bicubic")
        step = landmarks.VIEW_SPAN / landmarks.VIEW_SIDE
        still = landmarks.views(greys, landmarks.matrices(torch.zeros(1, 4)))
        moved = landmarks.views(greys, landmarks.matrices(torch.tensor([[0.0, 0, step, 0]])))
        correlation = np.corrcoef(still[0, 0, :, 1:].ravel(), moved[0, 0, :, :-1].ravel())[0, 1]
        self.assertGreater(correlation, 0.9999)


class Training(unittest.TestCase):
    def test_it_learns_to_centre_a_cross(self):
        torch.manual_seed(3)
        crops = np.full((64, 72, 72, 3), 90, np.uint8)
        crops[:, 40:45], crops[:, :, 33:38] = 200, 200
        crops += np.random.default_rng(1).integers(0, 20, crops.shape, np.uint8)
        before, *_, after = landmarks.held_out_errors(
            landmarks.train(crops, steps=120, batch=32), crops)
        self.assertLess(after.mean(), 0.8 * before.mean())


if __name__ == "__main__":
    unittest.main()
