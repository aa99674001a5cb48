"""Run with: python3 -m unittest, in this folder."""

import unittest

import app


class Statistics(unittest.TestCase):
    def test_counts(self):
        got = app.statistics("The cat saw the dog. Didn't it? It did!", top=2)
        self.assertEqual(got["words"], 9)
        self.assertEqual(got["distinct"], 7)
        self.assertEqual(got["sentences"], 3)
        self.assertEqual(got["longest"], "didn't")
        self.assertEqual(got["top"], [{"word": "it", "count": 2}, {"word": "the", "count": 2}])

    def test_empty(self):
        self.assertEqual(app.statistics("")["words"], 0)

    def test_min_length(self):
        self.assertEqual(app.statistics("a a bb", min_length=2)["top"], [{"word": "bb", "count": 1}])


class Handler(unittest.TestCase):
    def test_shipped_text(self):
        got = app.handler({"top": 3, "min_length": 5}, None)
        self.assertEqual(got["source"], "opticks.txt")
        self.assertGreater(got["words"], 90_000)
        self.assertIn("light", [t["word"] for t in got["top"]])

    def test_bad_input(self):
        for event in ({"top": 0}, {"top": "many"}, {"min_length": -1}):
            with self.assertRaises(ValueError):
                app.handler(event, None)


if __name__ == "__main__":
    unittest.main()
