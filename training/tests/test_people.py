import pathlib
import tempfile
import unittest

from training import people


class Lists(unittest.TestCase):
    def test_the_list_is_consistent(self):
        entries = people.read_list()
        self.assertEqual(len(entries), len({identity for identity, _ in entries}))
        self.assertGreater(len(people.listed(people.BENCHMARK)), 500)
        self.assertGreater(len(people.listed(people.HELD_OUT)), 400)

    def test_public_test_sets_are_refused(self):
        people.refuse_test_sets(["celeba_00001", "vgg2_n000002"])
        for identity in ("lfw_Some_One", "agedb_Some_One", "unheard_of", "vgg2_n000009", "vgg2_n000129"):
            with self.assertRaises(ValueError):
                people.refuse_test_sets([identity])

    def test_a_line_without_a_reason_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "list.txt"
            path.write_text("celeba_00001\n")
            with self.assertRaises(ValueError):
                people.read_list(path)


if __name__ == "__main__":
    unittest.main()
