#!/usr/bin/env python3
"""Measures the budgets of the design against nginx, nchan, Redis, etcd and the bare disk, on this machine, in this run.

    run.py                       every row, 5 alternating rounds: about an hour
    run.py --rows get,post       some rows; --rounds and --seconds change their size
    run.py --smoke               every row in seconds, to show that it runs; its figures mean nothing and judge nothing

Prints a table of ratios with the raw numbers behind them, and writes all of it as JSON. The last line is
`N passed, N failed`; the exit code is 1 when a budget was missed or a row could not be measured.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import abuse
import auth
import measure
import rows
import search
import servers
import streams
import tls
from size import Size

ROWS = rows.ROWS | streams.ROWS | search.ROWS | auth.ROWS | abuse.ROWS | tls.ROWS


def table(found, smoke):
    """The rows in columns, as Markdown."""
    lines = [("row", "work", "engram", "peer", "ratio", "budget", "")]
    for row in found:
        verdict = "ran" if smoke else ("met" if row.met else "MISSED")
        lines.append((
            row.name, row.work, row.engram, row.peer, f"{row.value:.3f}", f"{row.sign} {row.budget:g}", verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes; no gates")
    parser.add_argument("--rows", help=f"comma-separated, of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, help="alternating rounds (5)")
    parser.add_argument("--seconds", type=float, help="of one measurement (5; the long row stays at 60)")
    parser.add_argument("--stored", type=int, help="units stored before the row `newest` (1,000,000)")
    parser.add_argument("--json", type=pathlib.Path, help="where the results go (Perf/results/…)")
    options = parser.parse_args()

    names = options.rows.split(",") if options.rows else list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)}")
    size = Size.smoke() if options.smoke else Size()
    size = dataclasses.replace(size, **{
        name: value for name in ("rounds", "seconds", "stored") if (value := getattr(options, name)) is not None})

    servers.SCRATCH = servers.SCRATCH / str(os.getpid())
    servers.SCRATCH.mkdir(parents=True)
    found, failures = [], []
    try:
        facts = measure.machine(servers.SCRATCH)
        facts["command"] = "Perf/run.py " + " ".join(sys.argv[1:])
        print("\n".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
        for name in names:
            begun = time.monotonic()
            try:
                found += ROWS[name](size)
                outcome = "done"
            except measure.Failed as error:
                failures.append((name, str(error)))
                outcome = f"FAILED: {error}"
            except Exception:
                failures.append((name, traceback.format_exc()))
                outcome = f"FAILED:\n{failures[-1][1]}"
            print(f"{name}: {outcome} ({time.monotonic() - begun:.0f} s)", flush=True)
    finally:
        shutil.rmtree(servers.SCRATCH, ignore_errors=True)

    print("\n" + table(found, options.smoke) + "\n")
    path = options.json or (
        measure.ROOT / "Perf" / "results" / f"{facts['date'].replace(':', '')}{'-smoke' if options.smoke else ''}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "machine": facts, "size": dataclasses.asdict(size),
        "rows": [dataclasses.asdict(row) | {"met": row.met} for row in found], "failures": failures}, indent=1) + "\n")
    print(f"written: {path}")

    failed = len(failures) + (0 if options.smoke else sum(not row.met for row in found))
    passed = len(found) - (0 if options.smoke else sum(not row.met for row in found))
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
