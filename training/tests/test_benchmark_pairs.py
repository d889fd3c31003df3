import unittest

import numpy as np

from training import benchmark_pairs


class Pairs(unittest.TestCase):
    def test_there_are_as_many_of_each_kind(self):
        labels = np.repeat(np.arange(200), 4)
        first, second, same = benchmark_pairs.choose(labels)
        self.assertEqual((len(same), same.sum()), (1024, 512))
        np.testing.assert_array_equal(labels[first] == labels[second], same)
        np.testing.assert_array_equal(first, benchmark_pairs.choose(labels)[0])

    def test_too_few_people_are_an_error(self):
        with self.assertRaises(ValueError):
            benchmark_pairs.choose(np.repeat(np.arange(20), 2))


if __name__ == "__main__":
    unittest.main()
