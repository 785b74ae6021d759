"""Runs every stage of `make test`, shows their output, and closes with one line: `N passed, N failed`.

A build that fails ends the run; a suite that fails doesn't keep the next one from running.
"""

import pathlib
import re
import subprocess
import sys
import time

# Lines that are repeated of a suite that died.
LAST_WORDS = 30

ROOT = pathlib.Path(__file__).resolve().parent.parent

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$")
# Swift Testing closes with `Test run with 12 tests in 3 suites passed after …`; each failed test has a line of its own.
SWIFT_RUN = re.compile(r"Test run with (\d+) tests?\b.* (?:passed|failed) after")
# How the other suites name what failed.
OWN_FAILED = re.compile(r"^(?:FAIL|FAILED|ERROR)\b")
SWIFT_BEGAN = re.compile(r"^\W*Test (?!run )(.+) started\.$")
SWIFT_ENDED = re.compile(r"^\W*Test (?!run )(.+) (?:passed|failed) after")
SWIFT_FAILED = re.compile(r"^\W*Test (?!run with|case )(.+) failed after")


def run(title, command):
    """Runs one command, echoing its output. Returns its lines and exit code."""
    print(f"\n=== {title}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace")
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip("\n"))
    code = process.wait()
    print(f"=== {title}: exit {code} after {time.monotonic() - started:.0f} s", flush=True)
    return lines, code


def swift_counts(lines):
    total, failed = 0, set()
    for line in lines:
        if found := SWIFT_RUN.search(line):
            total += int(found.group(1))
        elif found := SWIFT_FAILED.search(line):
            failed.add(found.group(1))
    return total - len(failed), len(failed)


def complaints(lines):
    """What says which tests failed, and why: repeated at the end, where it is looked for. Of a suite that died before
    it could say anything, its last words and the tests that were running."""
    told = []
    for number, line in enumerate(lines):
        if SWIFT_FAILED.search(line) or " recorded an issue " in line:
            told.append(line)
        elif OWN_FAILED.match(line):
            told += lines[number:number + 12]
    return told[:200] or unfinished(lines) + lines[-LAST_WORDS:]


def unfinished(lines):
    running = {}
    for line in lines:
        if found := SWIFT_BEGAN.match(line):
            running[found.group(1)] = line
        elif found := SWIFT_ENDED.match(line):
            running.pop(found.group(1), None)
    return [f"running: {line}" for line in running.values()]


def own_counts(lines):
    for line in reversed(lines):
        if found := SUMMARY.match(line):
            return int(found.group(1)), int(found.group(2))
    return 0, 0


def main():
    passed = failed = 0

    def build(title, command):
        if run(title, command)[1] != 0:
            print(f"{title} failed")
            print(f"{passed} passed, {failed + 1} failed")
            sys.exit(1)

    def suite(title, command, counts):
        nonlocal passed, failed
        lines, code = run(title, command)
        ok, bad = counts(lines)
        if code != 0:
            failures.extend([f"--- {title}: exit {code}"] + complaints(lines))
        # A suite that crashed, or that ran nothing, has failed whatever it counted.
        if (code != 0 or ok == 0) and bad == 0:
            print(f"{title}: exit {code}, {ok} tests seen: counted as one failure")
            bad = 1
        passed, failed = passed + ok, failed + bad
        results.append(f"  {title}: {ok} passed, {bad} failed")

    results, failures = [], []
    build("debug build", ["swift", "build", "--build-tests"])
    # In two processes: whatever tests leave in memory comes together otherwise.
    suite("swift tests", ["swift", "test", "--skip-build", "--skip", "APITests"], swift_counts)
    suite("swift tests of the API", ["swift", "test", "--skip-build", "--filter", "APITests"], swift_counts)
    for product in "engram", "workload-smoke":
        build("release build", ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", product])
    suite("workload smoke", [".build/release/workload-smoke"], own_counts)
    suite("end to end", [sys.executable, "Tests/EndToEnd/run.py", "--fast"], own_counts)
    suite("contract smoke", [sys.executable, "Tests/Contract/run.py", "--smoke", "--cases", "300"], own_counts)
    suite("benchmark smoke", [sys.executable, "Perf/run.py", "--smoke"], own_counts)
    suite("soak smoke", [sys.executable, "Perf/soak.py", "--smoke"], own_counts)
    # Two targets at a time, a minute each; `Fuzz/run.py` builds, instrumented, whatever it needs.
    suite("fuzzing", [sys.executable, "Fuzz/run.py", "--seconds", "60"], own_counts)
    print("\n" + "\n".join(failures + results))
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
