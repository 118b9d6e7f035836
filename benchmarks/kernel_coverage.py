"""Lines and branches of the kernels that have run, for kernels compiled with ``--coverage`` by GCC.

    CXXFLAGS=--coverage LDFLAGS=--coverage python setup.py build_ext --cython-line-directives --inplace
    pytest tests/network
    python benchmarks/kernel_coverage.py build

The kernels are compiled once for each instruction set, and each template once for each type: a line has run if it ran
in any of them. The same holds for the two ways of a branch. Branches of exceptions and, because Cython writes one for
each check of an error, those of ``_kernels.pyx`` and its parts are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

KERNELS = "sklearn_rnn/_network/kernels/"


def read(folder):
    """Return counts by file and line: how often it ran, and how often each way of its branches was taken."""
    lines, branches = defaultdict(lambda: defaultdict(int)), defaultdict(lambda: defaultdict(int))
    for notes in sorted(folder.rglob("*.gcno")):
        command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(notes)]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for file in report["files"]:
            name = file["file"].rpartition(KERNELS)[2]
            if KERNELS not in file["file"] or name == "_kernels.cpp":
                continue
            n_lines = len((Path(report["current_working_directory"]) / KERNELS / name).read_text().splitlines())
            for line in file["lines"]:
                number = line["line_number"]
                if number > n_lines:  # Cython's own code, behind the last line that it names
                    continue
                lines[name][number] += line["count"]
                ways = [way["count"] for way in line["branches"] if not way["throw"]]
                for i, count in enumerate(ways if not name.endswith((".pyx", ".pxi")) else ()):
                    branches[name][number, i, len(ways)] += count
    return lines, branches


def ranges(numbers):
    """Return sorted numbers as text: [3, 4, 5, 9] is "3-5, 9"."""
    runs = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def share(counts):
    """Return "n of m" and the percentage of the counts above 0."""
    n, of = sum(count > 0 for count in counts), len(counts)
    return f"{n:4} of {of:4} {100 * n / of if of else 100:4.0f}%"


def main(folder):
    """Print a line for each file."""
    lines, branches = read(Path(folder))
    if not lines:
        raise SystemExit(f"{folder} has no kernels that were compiled with --coverage.")
    print(f"{'':18} {'lines':>17} {'branches':>17}  lines that did not run")
    for name in sorted(lines):
        of_branches = share(branches[name].values()) if branches[name] else " " * 17
        missed = [number for number, count in sorted(lines[name].items()) if not count]
        print(f"{name:18} {share(lines[name].values())} {of_branches}  {ranges(missed)}")
    in_all = [[count for file in of.values() for count in file.values()] for of in (lines, branches)]
    print(f"{'all':18} {share(in_all[0])} {share(in_all[1])}")


if __name__ == "__main__":
    main(*sys.argv[1:])
