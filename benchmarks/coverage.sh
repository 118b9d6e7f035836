#!/usr/bin/env bash
# Lines and branches that the tests run, of the package (coverage.py) and of the kernels (gcov). It needs GCC, and an
# environment with the extra "tests", setuptools and cython:
#
#     benchmarks/coverage.sh [tests/data tests/training ...]
#
# Without arguments all tests run; they take half as long again as without. The kernels are compiled again, in a copy of
# the checkout. PYTEST_ADDOPTS="-n2" limits the processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r benchmarks docs examples sklearn_rnn tests setup.py pyproject.toml ./*.rst LICENSE "$copy/"
cd "$copy"
rm -f sklearn_rnn/_network/kernels/*.so sklearn_rnn/_network/kernels/_kernels.cpp
CXXFLAGS=--coverage LDFLAGS=--coverage python setup.py -q build_ext --cython-line-directives --inplace

export COVERAGE_FILE="$copy/.coverage" PYTHONPATH="$copy" OMP_NUM_THREADS=1
COVERAGE_PROCESS_START="$copy/pyproject.toml" python -m pytest -q "${@:-tests}" || echo "Some tests failed."
python -m coverage combine -q
python -m coverage report
python benchmarks/kernel_coverage.py build
