#!/usr/bin/env python3
"""Runs schemathesis against a live server with all its checks: `make contract`.

    run.py --cases 20000 --seed 1

Prints how many cases ran for each operation, with the statuses that they met, and what schemathesis found wrong; the
exit code is 1 when that is anything. The streams are left out of generation, because their answers never end:
`Tests/EndToEnd/test_contract.py` holds them against the document.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))
sys.dont_write_bytecode = True

import harness

SCHEMATHESIS = harness.ROOT / ".build" / "tools" / "venv" / "bin" / "schemathesis"
ENDLESS = r"^/stream"
ROUNDS_MAX = 20


def one_round(server, seed, examples, phases, only=()):
    """One run of schemathesis; returns its exit code and what it counted."""
    with tempfile.NamedTemporaryFile(suffix=".json") as counts:
        command = [
            str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run",
            f"http://{server.address}/openapi.json", "--checks", "all", "--mode", "all", "--phases", phases,
            "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure",
            "--exclude-path-regex", ENDLESS, "--request-timeout", "20", "--suppress-health-check", "all",
            "--warnings", "off", "--workers", "1", *(["--include-path-regex", only] if only else [])]
        environment = os.environ | {
            "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "ENGRAM_CONTRACT_COUNTS": counts.name,
            "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "HYPOTHESIS_STORAGE_DIRECTORY": server.directory + "-hypothesis"}
        code = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, cwd=server.directory).returncode
        text = pathlib.Path(counts.name).read_text()
    return code, json.loads(text) if text else {"cases": {}, "statuses": {}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="at least so many requests, all operations together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="REGEX", help="operations whose path matches")
    parser.add_argument("--smoke", action="store_true", help="no stateful phase, and end with one line of counts")
    options = parser.parse_args()
    if not SCHEMATHESIS.exists():
        sys.exit(f"{SCHEMATHESIS} is not there: run `make tools`")
    harness.SCRATCH = harness.SCRATCH / str(os.getpid())

    cases, statuses, codes = collections.Counter(), collections.Counter(), []
    with harness.Server() as server:
        document = server.client().get("/openapi.json").json()
        described = {
            f"{method.upper()} {path}" for path, item in document["paths"].items() if not path.startswith("/stream")
            for method in item if method != "parameters"}
        operations = len(described)
        print(f"contract: {operations} operations, at least {options.cases} cases, seed {options.seed}", flush=True)
        phases = "examples,fuzzing" if options.smoke else "examples,coverage,fuzzing,stateful"
        for place in range(ROUNDS_MAX):
            missing = options.cases - cases.total()
            if missing <= 0:
                break
            code, counts = one_round(
                server, options.seed + place, max(1, missing // operations), phases, options.only)
            codes.append(code)
            cases.update(counts["cases"])
            statuses.update(counts["statuses"])
            phases = "fuzzing"
            if code != 0 or not counts["cases"]:
                break
        alive = server.alive()
        said = server.said()

    print()
    others = {name for name in cases if name not in described}
    for name in others:
        for status in [status for status in statuses if status.rsplit(" ", 1)[0] == name]:
            statuses["any other method " + status.rsplit(" ", 1)[1]] += statuses.pop(status)
        cases["any other method"] += cases.pop(name)
    for name, count in sorted(cases.items()):
        met = ", ".join(
            f"{status.rsplit(' ', 1)[1]} × {times}" for status, times in sorted(statuses.items())
            if status.rsplit(" ", 1)[0] == name)
        print(f"  {name:<40} {count:>6} cases: {met}")
    failures = [f"exit {code} in round {place + 1}" for place, code in enumerate(codes) if code != 0]
    if cases.total() < options.cases and not failures:
        failures.append(f"only {cases.total()} cases ran")
    if not alive:
        failures.append(f"the server ended; it said: {said}")
    print(f"contract: {cases.total()} cases, seed {options.seed}: {'; '.join(failures) or 'nothing to complain of'}")
    print(f"{len(cases) if not failures else 0} passed, {len(failures)} failed", flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
