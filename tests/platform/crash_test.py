#!/usr/bin/env python3
"""The linkage server killed at random moments of its jobs: everybody is enrolled exactly once or not at all, and nothing in
the clear is on disk. BAUTA_CRASH_ROUNDS=100 for more rounds.

usage: crash_test.py BAUTA SOURCE_DIR
"""
import os
import pathlib
import random
import signal
import sys
import time
import unittest

from platform_processes import ENGINES, Platform, wait_for
from platform_test import files_holding, photo, windows

BAUTA = os.path.abspath(sys.argv[1])
ROUNDS = int(os.environ.get("BAUTA_CRASH_ROUNDS", "12"))
PEOPLE = ("Arlecchino", "Brighella", "Colombina", "Corallina")


class CrashTest(unittest.TestCase):
    def test_jobs_are_done_once_or_not_at_all(self):
        seed = int(os.environ.get("BAUTA_CRASH_SEED", "7"))
        moments = random.Random(seed)
        with Platform(BAUTA) as p:
            persons = [p.register([photo(name, 1)], name=f"Name of {name} in the clear") for name in PEOPLE]
            needles = [w for name in PEOPLE for w in windows(photo(name, 1).read_bytes(), 10)]
            needles += [f"Name of {name} in the clear".encode() for name in PEOPLE]
            wanted = {}  # (person, engine) -> enrolled or not
            for engine in ENGINES:  # the linkage server has its key of each engine, which is delivered once
                persons[0].opt_in(engine)
                persons[0].enrolled(engine)
                persons[0].opt_out(engine)
            # A linkage server that this test kills and starts by itself, without a supervisor's pauses.
            p.stop_role("all")
            p.start_engines()
            p.start_role("storage")
            kills = enrolled_rounds = 0
            for _ in range(ROUNDS):
                p.start_role("linkage")
                i, engine = moments.randrange(len(persons)), moments.choice(ENGINES)
                on = not wanted.get((i, engine), False)
                status = (persons[i].opt_in if on else persons[i].opt_out)(engine)[0]
                self.assertIn(status, (200, 202))
                wanted[i, engine] = on
                time.sleep(moments.uniform(0, 0.6))
                p.stop_role("linkage", signal.SIGKILL)
                kills += 1
                self.assertEqual(files_holding(p.root, needles), {})
            p.start_role("linkage")
            for (i, engine), on in wanted.items():
                try:
                    wait_for(lambda i=i, engine=engine, on=on: persons[i].state(engine) == ("enrolled" if on else "off"), 90,
                             f"person {i} at {engine} is {'enrolled' if on else 'off'}")
                except AssertionError as error:
                    raise AssertionError(f"{error}, but {persons[i].state(engine)}\n{p.log.read_text()[-3000:]}") from None
            for engine in ENGINES:
                count = sum(on for (_, at), on in wanted.items() if at == engine)
                self.assertEqual(p.subjects(engine), (count, count), engine)
                enrolled_rounds += count
            for (i, engine), on in wanted.items():
                self.assertEqual(p.identify(engine, photo(PEOPLE[i], 1))[0], "accepted" if on else "rejected", (i, engine))
            self.assertEqual(files_holding(p.root, needles), {})
            print(f"{kills} kills with seed {seed}; {enrolled_rounds} enrolled once, {len(wanted) - enrolled_rounds} not",
                  file=sys.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:])
