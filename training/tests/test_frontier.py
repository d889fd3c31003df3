import unittest
import xml.etree.ElementTree

from training import frontier


def row(name, seconds, accuracy):
    return {"name": name, "seconds_warm": seconds, "accuracy": accuracy}


ROWS = [row("fast", 0.2, 0.85), row("beaten", 0.6, 0.84), row("best", 0.8, 0.92), row("slow", 1.1, 0.92)]


class Frontier(unittest.TestCase):
    def test_holds_what_nobody_beats(self):
        self.assertEqual([r["name"] for r in frontier.on_frontier(ROWS)], ["fast", "best"])

    def test_drawing_shows_every_network(self):
        words = [e.text for e in xml.etree.ElementTree.fromstring(frontier.to_svg(ROWS)).iter() if e.text]
        for r in ROWS:
            self.assertIn(r["name"], words)

    def test_names_tell_shapes_apart(self):
        self.assertEqual(len({frontier.name_of(shape) for shape in frontier.SHAPES}), len(frontier.SHAPES))


if __name__ == "__main__":
    unittest.main()
