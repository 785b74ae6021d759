"""Runs the benchmarks whose names match a pattern, and prints a line for each: `python3 Benchmarks/run.py json`.

The numbers are ordo-one/benchmark's; its own tables (`swift package benchmark`, in this folder) have a row of
percentiles for each metric instead.
"""

import json
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TIME, THREAD_TIME, INSTRUCTIONS, ALLOCATIONS, OPERATIONS = (
    "Time (wall clock)", "thread time", "Instructions", "allocations", "operations")


def measure(pattern):
    """Builds and runs; what the build says goes to the terminal. Returns the tool's JMH elements."""
    command = [
        "swift", "package", "benchmark", "--format", "jmh", "--path", "stdout", "--no-progress",
        "--filter", f"(?i).*{pattern}.*"]
    process = subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    elements = None
    for line in process.stdout:
        if line.startswith("[{") or line.strip() == "[]":
            elements = json.loads(line)
        else:
            print(line, end="", file=sys.stderr, flush=True)
    code = process.wait()
    if code != 0 or elements is None:
        sys.exit(f"the benchmarks failed: exit {code}")
    if not elements:
        sys.exit(f"no benchmark matches {pattern!r}")
    return elements


def per_operation(metric, percentile, operations, factor=1.0):
    """A percentile of the passes, divided by the operations of a pass; None where it wasn't measured."""
    return metric and metric["scorePercentiles"][percentile] * factor / operations


def figure(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def row(element):
    metrics = element["secondaryMetrics"]
    operations = metrics[OPERATIONS]["scorePercentiles"]["50.0"]
    # JMH's times are microseconds; the thread's are as they were measured.
    wall = [per_operation(metrics[TIME], percentile, operations, 1000) for percentile in ("50.0", "99.0")]
    thread = [per_operation(metrics[THREAD_TIME], percentile, operations) for percentile in ("0.0", "50.0")]
    digits = 0 if thread[0] >= 100 else 1
    return [
        element["benchmark"].split(".", 3)[3].replace("_", " "),
        *(figure(value, digits) for value in thread + wall),
        figure(per_operation(metrics.get(INSTRUCTIONS), "50.0", operations)),
        figure(per_operation(metrics[ALLOCATIONS], "100.0", operations), 3),
        str(element["measurementIterations"]),
    ]


def machine():
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}, commit {commit or 'unknown'}"


def main():
    rows = sorted(row(element) for element in measure(sys.argv[1] if len(sys.argv) > 1 else ""))
    head = [
        "benchmark", "least ns/op", "ns/op", "wall ns/op", "wall p99", "instructions", "allocations/op", "passes"]
    widths = [max(len(line[column]) for line in [head] + rows) for column in range(len(head))]
    print(machine())
    for line in [head, ["-" * width for width in widths]] + rows:
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    main()
