import unittest

from training import curve


class Curve(unittest.TestCase):
    def test_the_law_behind_points_is_found(self):
        hours = [0.5, 1, 2, 4]
        a, b = curve.fit(hours, [0.08 * h ** -0.25 for h in hours])
        self.assertAlmostEqual(a, 0.08)
        self.assertAlmostEqual(b, 0.25)
        self.assertAlmostEqual(curve.hours_until(0.04, (a, b)), 16, places=3)

    def test_the_drawing_holds_every_point(self):
        rows = [{"hours": 0.5, "error": 0.08, "end": True}, {"hours": 1.0, "error": 0.06, "end": False}]
        self.assertEqual(curve.to_svg(rows, (0.07, 0.2)).count("<circle"), 2)


if __name__ == "__main__":
    unittest.main()
