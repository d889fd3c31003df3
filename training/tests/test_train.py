import functools
import json
import math
import pathlib
import tempfile
import unittest
from unittest import mock

import numpy as np
import torch

from training import augment, lfw, losses, train
from training.data import PACKED_SIDE, shrink


def write_packed(directory, identities=40, crops_each=3):
    """Random pictures: an identity is a colour, its teacher embedding a random direction."""
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(identities, dtype=np.int32), crops_each)
    colours = generator.integers(40, 215, (identities, 1, 1, 3))
    noise = generator.integers(-20, 20, (len(labels), PACKED_SIDE, PACKED_SIDE, 3))
    np.save(directory / "crops.npy", (colours[labels] + noise).astype(np.uint8))
    np.save(directory / "labels.npy", labels)
    directions = generator.normal(size=(identities, 128))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.save(directory / "teacher.npy", directions[labels].astype(np.float16))
    (directory / "identities.txt").write_text("".join(f"celeba_{i}\n" for i in range(identities)))


class Training(unittest.TestCase):
    def setUp(self):
        held_out = mock.patch.object(train, "split_by_identity", functools.partial(
            train.split_by_identity, held_out=[f"celeba_{i}" for i in range(5, 40, 10)], untouched=[]))
        held_out.start()
        self.addCleanup(held_out.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        write_packed(self.folder)
        torch.manual_seed(1)
        np.random.seed(1)

    def arguments(self, epochs):
        return train.parse_arguments([
            "--packed", str(self.folder), "--run", str(self.folder / "run"), "--channels", "4",
            "--convolutions", "2", "--batch", "19", "--epochs", str(epochs)])

    def test_a_run_learns_and_resumes_where_it_stopped(self):
        run = train.Run(self.arguments(epochs=20))
        first = run.take_step()[0]
        run.go()
        self.assertEqual(run.step, run.steps)
        last = json.loads((self.folder / "run" / "progress.jsonl").read_text().splitlines()[-1])
        self.assertGreater(last["held_out"]["teacher_cosine"], -1)
        resumed = train.Run(self.arguments(epochs=21))
        self.assertEqual(resumed.step, run.step)
        self.assertLess(resumed.take_step()[0], first)
        for mine, kept in zip(run.average.parameters(), train.Run(
                self.arguments(epochs=20)).average.parameters()):
            self.assertTrue(torch.equal(mine, kept))

    def test_the_split_keeps_identities_apart(self):
        run = train.Run(self.arguments(epochs=1))
        trained = set(run.faces.labels[run.split.train])
        held_out = set(run.faces.labels[run.split.held_out])
        self.assertTrue(trained and held_out)
        self.assertFalse(trained & held_out)
        excluded = train.split_by_identity(run.faces, ["celeba_3"])
        self.assertNotIn(3, run.faces.labels[excluded.train])

    def test_nobody_known_teaches_the_direction_only(self):
        labels = np.load(self.folder / "labels.npy")
        labels[:7] = -1
        np.save(self.folder / "labels.npy", labels)
        run = train.Run(self.arguments(epochs=1))
        self.assertTrue(set(range(7)) <= set(run.split.train))
        self.assertFalse(set(range(7)) & set(run.split.held_out))
        self.assertTrue((run.classes[:7] == -1).all())
        run.weights = np.isin(run.split.train, range(7)) / 7
        losses_of_step = run.take_step()
        self.assertEqual(losses_of_step[1], 0)
        self.assertTrue(torch.isfinite(losses_of_step).all())

    def test_only_trained_identities_have_a_class(self):
        run = train.Run(self.arguments(epochs=1))
        self.assertEqual(len(run.identity_loss.centres), 36)
        self.assertTrue((run.classes[run.split.held_out] == -1).all())

    def test_benchmark_people_are_in_neither_part(self):
        faces = train.Run(self.arguments(epochs=1)).faces
        split = train.split_by_identity(faces, [], held_out={"celeba_1"}, untouched={"celeba_2"})
        labels = faces.labels[np.concatenate((split.train, split.held_out))]
        self.assertIn(1, labels)
        self.assertNotIn(2, labels)

    def test_a_run_begins_with_the_function_of_a_checkpoint(self):
        first = train.Run(self.arguments(epochs=2))
        first.go()
        arguments = self.arguments(epochs=2)
        arguments.run, arguments.convolutions = str(self.folder / "second"), 4
        arguments.start = str(first.checkpoint)
        second = train.Run(arguments)
        crops = first.faces.crops[:8]
        np.testing.assert_allclose(train.embed(second.network, crops), train.embed(first.average, crops),
                                   atol=1e-5)

    def test_the_rate_rises_and_falls_along_a_cosine(self):
        rates = [train.learning_rate(step, 10000, 1.0) for step in (0, 300, 5000, 9999)]
        self.assertLess(rates[0], 0.01)
        self.assertGreater(rates[1], 0.99)
        self.assertAlmostEqual(rates[2], 0.5)
        self.assertLess(rates[3], 0.001)

    def test_pairs_are_balanced_and_repeat(self):
        labels = np.repeat(np.arange(5), 3)
        first, second, same = train.balanced_pairs(labels)
        self.assertEqual(same.sum(), 15)
        self.assertEqual(len(same), 30)
        np.testing.assert_array_equal(labels[first] == labels[second], same)
        np.testing.assert_array_equal(first, train.balanced_pairs(labels)[0])


class Shrinking(unittest.TestCase):
    def test_it_is_the_rounded_area_average(self):
        crop = np.random.default_rng(2).integers(0, 255, (112, 112, 3)).astype(np.uint8)
        fine = crop.repeat(9, axis=0).repeat(9, axis=1)  # a shrunk pixel is 14 x 14 of these
        sums = fine.reshape(72, 14, 72, 14, 3).sum((1, 3), dtype=np.int64)
        np.testing.assert_array_equal(shrink(crop), (sums + 98) // 196)


class Augmentation(unittest.TestCase):
    def test_without_variation_it_is_the_centre_up_to_a_flip(self):
        torch.manual_seed(1)
        crops = np.random.default_rng(1).integers(0, 255, (6, 72, 72, 3), np.uint8)
        varied = augment.vary(crops, 0, 0, 0, 0)
        centre = augment.centre(crops)
        for image, expected in zip(varied, centre):
            difference = min((image - expected).abs().max(), (image.flip(2) - expected).abs().max())
            self.assertLess(difference, 1e-3)


class Losses(unittest.TestCase):
    def test_margin_makes_the_true_class_harder(self):
        torch.manual_seed(1)
        embeddings, labels = torch.randn(8, 16), torch.arange(8)
        centres = torch.randn(8, 16)
        plain = losses.IdentityLoss(centres, margin=0.0)(embeddings, labels)
        self.assertGreater(losses.IdentityLoss(centres, margin=0.3)(embeddings, labels), plain)

    def test_perfect_embeddings_cost_nothing(self):
        teacher = torch.nn.functional.normalize(torch.randn(4, 8))
        self.assertAlmostEqual(losses.distillation_loss(3 * teacher, teacher).item(), 0, places=5)
        self.assertAlmostEqual(losses.length_penalty(teacher).item(), 0, places=5)

    def test_centres_are_sums_by_identity(self):
        teacher = torch.tensor([[1.0, 0], [0, 2], [3, 0]])
        centres = losses.identity_centres(teacher, torch.tensor([1, 0, 1]), 2)
        self.assertEqual(centres.tolist(), [[0, 2], [4, 0]])


class Measures(unittest.TestCase):
    def test_equal_error_rate_of_overlapping_scores(self):
        scores = np.array([4.0, 3, 1, 2, 0, -1])
        same = np.array([True, True, True, False, False, False])
        self.assertAlmostEqual(lfw.equal_error_rate(scores, same), 1 / 3)
        self.assertAlmostEqual(lfw.true_accept_rate(scores, same, 0.0), 2 / 3)

    def test_threshold_separates(self):
        scores, same = np.array([0.1, 0.9, 0.8, 0.2]), np.array([False, True, True, False])
        self.assertEqual(lfw.best_threshold(scores, same), 0.8)

    def test_folds_are_scored_by_the_threshold_of_the_others(self):
        same = np.tile(np.repeat([True, False], 300), 2)
        scores = same.astype(float)
        self.assertTrue((lfw.fold_accuracies(scores, same) == 1).all())
        scores[:600] += math.pi
        self.assertTrue((lfw.fold_accuracies(scores, same) == 0.5).all())


if __name__ == "__main__":
    unittest.main()
