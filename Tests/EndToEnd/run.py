#!/usr/bin/env python3
"""The end-to-end suites against the real release binary.

    run.py --fast             what `make test` runs
    run.py --full             the long form: 100 kills, 10,000 tries, every connection
    run.py --only NAME ...    suites or tests whose name contains NAME

Ends with one line, `N passed, N failed`; the exit code is 1 when something failed.
"""

import argparse
import importlib
import os
import pathlib
import shutil
import sys
import time
import traceback
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import harness

SUITES = [
    "test_program", "test_settings", "test_units", "test_batches", "test_idempotency", "test_lists", "test_contexts",
    "test_contexts_patch", "test_locks", "test_locks_waiting", "test_search", "test_graph", "test_json", "test_http", "test_stream",
    "test_websocket", "test_websocket_messages", "test_websocket_peer", "test_eventsource", "test_followers",
    "test_authentication", "test_visibility", "test_visibility_access", "test_limits", "test_browser_safety", "test_audit",
    "test_slow_clients", "test_connections", "test_hostile", "test_hostile_websocket", "test_contract",
    "test_access_matrix", "test_authorization", "test_intruders",
    "test_crash", "test_search_crash", "test_endurance", "test_verify", "test_tls", "test_readme"]


class Result(unittest.TestResult):
    """One line per test, each failure's cause right below it, and counts by test (not by sub-test)."""

    def __init__(self):
        super().__init__()
        self.broken = {}

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        seconds = time.monotonic() - self.begun
        causes = self.broken.get(test.id(), [])
        print(f"{'FAIL' if causes else 'ok  '} {test.id()} ({seconds:.2f} s)", flush=True)
        for cause in causes:
            print("     " + cause.replace("\n", "\n     "), flush=True)

    def _note(self, test, error, label=""):
        kind, value, trace = error
        frames = [frame for frame in traceback.extract_tb(trace) if "unittest" not in frame.filename]
        here = next((frame for frame in reversed(frames) if "test_" in frame.filename), None)
        where = f"{os.path.basename(here.filename)}:{here.lineno}: " if here else ""
        text = str(value) or kind.__name__
        if not issubclass(kind, AssertionError):
            text = f"{kind.__name__}: {text}"
        self.broken.setdefault(test.id(), []).append(f"{label}{where}{text[:2000]}")

    def addFailure(self, test, err):
        self._note(test, err)
        if isinstance(test, unittest.suite._ErrorHolder):  # setUpClass failed: no startTest will follow
            print(f"FAIL {test.id()}\n     " + self.broken[test.id()][-1], flush=True)

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._note(test, err, f"{subtest._subDescription()} ")

    def addSkip(self, test, reason):
        self._note(test, (AssertionError, AssertionError(f"skipped: {reason}"), None))


def selected(suite, names):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from selected(item, names)
        elif not names or any(name in item.id() for name in names):
            yield item


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--fast", action="store_true", help="short sizes (the default)")
    size.add_argument("--full", action="store_true", help="full sizes")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--kills", type=int, help="how often the crash suite kills the server")
    options = parser.parse_args()
    harness.Options.full = options.full
    harness.Options.kills = options.kills

    if not os.access(harness.BINARY, os.X_OK):
        print(f"{harness.BINARY} is not there: build it with `make build`, or name one in ENGRAM_BINARY")
        print("0 passed, 1 failed")
        sys.exit(1)
    harness.several_files()
    harness.SCRATCH = harness.SCRATCH / str(os.getpid())

    loader = unittest.TestLoader()
    chosen = unittest.TestSuite()
    for name in SUITES:
        chosen.addTests(selected(loader.loadTestsFromModule(importlib.import_module(name)), options.only))
    if not chosen.countTestCases():
        print("no test has such a name\n0 passed, 1 failed")
        sys.exit(1)

    result = Result()
    begun = time.monotonic()
    chosen.run(result)
    shutil.rmtree(harness.SCRATCH, ignore_errors=True)

    failed = len(result.broken)
    passed = result.testsRun - sum(1 for name in result.broken if not name.startswith("setUpClass"))
    if failed:
        print("\nfailed:\n  " + "\n  ".join(result.broken))
    print(f"end to end: {time.monotonic() - begun:.0f} s, {'full' if options.full else 'fast'}")
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
