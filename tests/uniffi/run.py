"""Runs all tests of this folder and ends the process without taking the interpreter down.

A call that was cancelled may still be told of its end by a thread of the library. CPython stops such a thread in the middle of its call
when the interpreter ends, and glibc then ends the process with an error, after every test has passed.
"""

import os
import sys
import unittest
from pathlib import Path

if __name__ == "__main__":
    tests = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
    result = unittest.TextTestRunner().run(tests)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)
