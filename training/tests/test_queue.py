import argparse
import functools
import pathlib
import tempfile
import unittest
from unittest import mock

from training import bnet, data, queue, train
from .test_train import write_packed

HELD_OUT = [f"celeba_{i}" for i in range(5, 40, 10)]
SMALL = ["--channels", "4", "--batch", "19"]


class Queue(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        (self.work / "packed").mkdir()
        write_packed(self.work / "packed")
        parse = train.parse_arguments
        for target, name, replacement in (
                (train, "split_by_identity", functools.partial(
                    train.split_by_identity, held_out=HELD_OUT, untouched=[])),
                (train, "parse_arguments", lambda words: parse(words + SMALL)),
                (train, "balanced_pairs", functools.partial(train.balanced_pairs, genuine_each=2)),
                (queue.export, "export", functools.partial(queue.export.export, crops=64))):
            patch = mock.patch.object(target, name, replacement)
            patch.start()
            self.addCleanup(patch.stop)
        self.faces = data.Faces(self.work / "packed")
        self.split = train.split_of(self.work / "packed", self.faces)
        self.network = self.work / "small.bnet"

    def best(self):
        return queue.BestNetwork(self.network, self.faces, self.split)

    def run_recipe(self, recipe, start, best):
        own = argparse.Namespace(threads=1, bfloat16=False)
        with mock.patch("builtins.print") as printed:
            finished = queue.run_recipe(recipe, start, self.work, best, own)
        return finished, [call.args[0] for call in printed.call_args_list]

    def test_recipes_follow_each_other_and_the_end_is_exported(self):
        best = self.best()
        finished, lines = self.run_recipe(queue.Recipe("first", "small", 3, 2), self.work / "none.pt", best)
        self.assertTrue(finished)
        self.assertEqual(len(lines), 3)
        self.assertIn("better than 1.0000", lines[-1])
        self.assertEqual(len(bnet.decode(self.network.read_bytes()).layers), 2 * 2 + 1)
        self.assertAlmostEqual(self.best().error, best.error)
        start = self.work / "runs" / "first" / "checkpoint.pt"
        self.assertTrue(self.run_recipe(queue.Recipe("second", "small", 1, 3), start, best)[0])
        self.assertEqual(self.run_recipe(queue.Recipe("second", "small", 1, 3), start, best), (True, []))

    def test_worse_weights_replace_nothing(self):
        self.run_recipe(queue.Recipe("first", "small", 1, 2), self.work / "none.pt", self.best())
        kept = self.network.read_bytes()
        best = self.best()
        best.error = 0.0
        best.offer(self.work / "runs" / "first" / "checkpoint.pt")
        self.assertEqual(self.network.read_bytes(), kept)


if __name__ == "__main__":
    unittest.main()
