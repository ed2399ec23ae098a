"""A case: a name and a function that raises AssertionError. The runner takes many at once and prints a line for each."""

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed

from .process import Stopwatch

ALL = []


def case(name):
    """Decorator: the function becomes a case of the laboratory."""
    def add(function):
        ALL.append((name, function))
        return function
    return add


def same(got, want, what):
    assert got == want, f"{what}\n    want {want!r}\n    got  {got!r}"


def within(got, limit, what):
    assert got <= limit, f"{what}: {got:.2f} s, want at most {limit} s"


def chosen(words):
    return [(name, function) for name, function in ALL if not words or any(word in name for word in words)]


def run_all(cases, lab, at_once=16):
    """Returns (passed, failed)."""
    passed = 0
    lock = threading.Lock()

    def run(name, function):
        clock = Stopwatch()
        try:
            function(lab)
            failure = None
        except AssertionError as error:
            failure = str(error) or traceback.format_exc()
        except Exception:
            failure = traceback.format_exc()
        with lock:
            print(f"{'FAIL' if failure else 'ok  '} {name} ({clock.seconds():.1f} s)", flush=True)
            if failure:
                print("    " + failure.replace("\n", "\n    "), flush=True)
        return failure is None

    pool = ThreadPoolExecutor(at_once)
    try:
        for done in as_completed([pool.submit(run, *c) for c in cases]):
            passed += done.result()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return passed, len(cases) - passed
