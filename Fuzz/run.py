"""Builds the fuzz targets and runs them: `python3 Fuzz/run.py --seconds 60`, one line for each target, and
`N passed, N failed` at the end.

A target has failed if an input crashed it, trapped, hung for 5 s or took more memory than allowed: the input is kept
below `Fuzz/Findings`. First of all a planted bug must be found: a fuzzer that is blind passes everything.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BINARY = HERE / ".build" / "release" / "fuzz"
CORPUS = HERE / "Corpus"
DICTIONARIES = HERE / "Dictionaries"
FINDINGS = HERE / "Findings"
# What runs found beyond the committed corpus: not committed, and where the next run goes on.
GROWN = HERE / ".build" / "grown"

INPUT_SECONDS_MAX = 5
MEMORY_MIB_MAX = 1024
# Bytes of an input: a log is described by edits, and a body of chunks needs no megabytes to go wrong.
INPUT_BYTES_MAX = 2048
# Of the committed corpus, for each target.
COMMITTED_FILES_MAX = 100
COMMITTED_BYTES_MAX = 1024
# Fewer in a run say that something is wrong with the target, not that all is well.
EXECUTIONS_MIN_PER_SECOND = 20

# Optimized, but with what a debug build checks: overlapping access, assertions, and the bounds of unsafe buffers.
BUILD = [
    "swift", "build", "-c", "release", "--sanitize", "fuzzer", "-Xswiftc", "-enable-testing",
    "-Xswiftc", "-assert-config", "-Xswiftc", "Debug", "-Xswiftc", "-enforce-exclusivity=checked"]


def targets():
    """The targets' names, as `Target.swift` has them, without the planted bug."""
    text = (HERE / "Sources" / "fuzz" / "Target.swift").read_text()
    return [name for name in re.findall(r'case \w+ = "([a-z-]+)"', text) if name != "planted"]


def environment(target):
    # The runtime's own tracer would stand between a crash and libFuzzer.
    return {**os.environ, "ENGRAM_FUZZ": target, "SWIFT_BACKTRACE": "enable=no"}


def fuzz(target, seconds):
    """Runs one target. Returns (executions, edges covered, what is wrong or None)."""
    grown, findings = GROWN / target, FINDINGS / target
    grown.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    command = [
        str(BINARY), f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MIB_MAX}", f"-max_len={INPUT_BYTES_MAX}", "-print_final_stats=1", "-use_value_profile=1",
        "-reload=0", f"-artifact_prefix={findings}/"]
    dictionary = DICTIONARIES / f"{target}.dict"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    command += [str(grown), str(CORPUS / target)] if (CORPUS / target).exists() else [str(grown)]
    try:
        process = subprocess.run(
            command, env=environment(target), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds + 120)
        output, code = process.stdout, process.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = (expired.stdout or b"").decode(errors="replace"), "none: it didn't end"
    executions = max(map(int, re.findall(r"^stat::number_of_executed_units: (\d+)$", output, re.M)), default=0)
    covered = max(map(int, re.findall(r"\bcov: (\d+)", output)), default=0)
    wrong = None
    if code != 0:
        kept = re.findall(r"Test unit written to (\S+)", output)
        wrong = f"exit {code}; input: {', '.join(kept) or 'none'}\n" + indented(output)
    elif executions < seconds * EXECUTIONS_MIN_PER_SECOND:
        wrong = f"only {executions} executions\n" + indented(output)
    elif target != "planted" and not any((CORPUS / target).glob("*")):
        wrong = "no corpus"
    return executions, covered, wrong


def indented(output, lines=40):
    """What a run said from its failure on, without libFuzzer's own frames."""
    said = output.splitlines()
    failure = next((number for number, line in enumerate(said) if "ERROR: libFuzzer" in line), len(said) - lines)
    said = [line for line in said[max(0, failure - 5):] if " in fuzzer::" not in line]
    return "\n".join("    " + line for line in said[:lines])


def sees():
    """Whether the fuzzer finds the planted bug, and the runner sees that it did."""
    shutil.rmtree(GROWN / "planted", ignore_errors=True)
    shutil.rmtree(FINDINGS / "planted", ignore_errors=True)
    _, _, wrong = fuzz("planted", 60)
    found = [path for path in (FINDINGS / "planted").glob("crash-*") if path.read_bytes().startswith(b"bug")]
    shutil.rmtree(FINDINGS / "planted", ignore_errors=True)
    return wrong is not None and len(found) == 1


def keep(target):
    """Puts what the runs have grown into the committed corpus: small inputs, as few as cover the most."""
    committed = CORPUS / target
    committed.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        merged = pathlib.Path(room)
        subprocess.run(
            [str(BINARY), "-merge=1", f"-max_len={COMMITTED_BYTES_MAX}", str(merged), str(committed),
             str(GROWN / target)],
            env=environment(target), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=True)
        # Libfuzzer names what it grows by its hash, and this script the seeds: these stay.
        for path in committed.glob("*"):
            if re.fullmatch(r"[0-9a-f]{40}", path.name):
                path.unlink()
        seeds = {path.read_bytes() for path in committed.glob("*")}
        found = sorted(merged.glob("*"), key=lambda path: (path.stat().st_size, path.name))
        found = [path for path in found if path.stat().st_size <= COMMITTED_BYTES_MAX and path.read_bytes() not in seeds]
        room_left = max(0, COMMITTED_FILES_MAX - len(seeds))
        # Of more than there is room for, every n-th by size: short ones alone reach little.
        step = max(1, -(-len(found) // room_left)) if room_left else len(found) + 1
        for path in found[::step]:
            shutil.copy(path, committed / path.name)
        print(f"{target}: {len(list(committed.glob('*')))} files")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, help="for each target")
    parser.add_argument("--minutes", type=float, help="for all targets together")
    parser.add_argument("--target", action="append", choices=targets(), help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="targets at a time")
    parser.add_argument("--keep", action="store_true", help="put what runs have grown into the committed corpus")
    arguments = parser.parse_args()
    chosen = arguments.target or targets()
    if subprocess.run(BUILD, cwd=HERE, stdin=subprocess.DEVNULL).returncode != 0:
        print("the build failed\n0 passed, 1 failed")
        sys.exit(1)
    if arguments.keep:
        for target in chosen:
            keep(target)
        return
    seconds = arguments.seconds or max(1, round((arguments.minutes or len(chosen)) * 60 / len(chosen)))
    passed = failed = total = 0
    if sees():
        passed += 1
        print("planted bug: found", flush=True)
    else:
        failed += 1
        print("FAIL planted bug: not found, so nothing that follows means anything", flush=True)
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {target: pool.submit(fuzz, target, seconds) for target in chosen}
        for target, run in runs.items():
            executions, covered, wrong = run.result()
            total += executions
            passed, failed = passed + (wrong is None), failed + (wrong is not None)
            print(f"{'FAIL ' if wrong else ''}{target}: {executions:,} executions in {seconds} s, "
                  f"{covered:,} edges{'; ' + wrong if wrong else ''}", flush=True)
    print(f"{total:,} executions in {len(chosen)} targets, {time.monotonic() - started:.0f} s")
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
