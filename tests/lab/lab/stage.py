"""What every entry does: enter the namespaces, bring the laboratory up, work, take it down, say how it went."""

import os
import sys
import traceback

from . import namespace, place
from .daemon import BINARY
from .process import Stopwatch


def play(entry, limit, make, work, quiet=False):
    """`make()` gives a Laboratory, `work(lab)` a list of what went wrong. Returns all that did."""
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run make first")
    namespace.enter(entry, limit)
    clock = Stopwatch()
    lab = make()
    wrong = []
    try:
        lab.up()
        if not quiet:
            print(f"the laboratory is up after {clock.seconds():.1f} s", flush=True)
        wrong += work(lab)
    except KeyboardInterrupt:
        lab.down()
        print("interrupted", flush=True)
        os._exit(130)           # without waiting for threads that wait for something
    except AssertionError as error:
        wrong.append(str(error))
    except Exception:
        wrong.append(traceback.format_exc())
    wrong += lab.down()
    for text in wrong:
        print(f"FAIL {text}")
    if wrong or not quiet:
        print(f"{clock.seconds():.0f} s; logs in {place.kept_logs(entry)}")
    return wrong
