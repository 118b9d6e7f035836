"""Change the engine's modules in small ways, and list the changes that no test notices.

    pip install -e ".[tests]" cosmic-ray
    python benchmarks/mutants.py --share 0.2
    python benchmarks/mutants.py _training/losses.py _data/packing.py

A mutant is a module with one change by an operator of Cosmic Ray: ``<`` for ``<=``, ``-`` for ``+``, 2 for 1. One
more operator leaves a statement out. The tests are collected once, and run once to see which lines each of them runs.
For each mutant, a forked child replaces the code of one function and runs the tests of the changed line, the shortest
first, until one fails. So most mutants take a fraction of a second. What runs when a module is imported (constants,
defaults of arguments) is not changed, and tests that start a process of their own see no mutant there.

Read each survivor: a test is missing, or the change makes no difference to any result. ``--time 1000`` gives survivors
more tests.
"""

from __future__ import annotations

import argparse
import ast
import gc
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from types import CodeType, FunctionType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import parso
import pytest
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.operators.provider import OperatorProvider

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sklearn_rnn"

# The modules, with the tests that concern each.
GRADIENTS = ["tests/training/test_gradients.py", "tests/training/truncation", "tests/training/test_stateful.py"]
CELLS = ["tests/network/test_cells.py", "tests/network/test_extending.py", "tests/training/test_gradients.py"]
FITS = [
    "tests/estimators/test_early_stopping.py", "tests/estimators/test_solvers_and_schedules.py",
    "tests/estimators/test_training_reports.py", "tests/estimators/test_weights_of_steps.py",
    "tests/training/test_bad_luck.py",
]  # fmt: skip
CHECKPOINTS = ["tests/training/test_checkpoints.py"]
MEMORY = [f"tests/training/memory/test_{subject}.py" for subject in ("budget", "model", "activations")]
TESTS = {
    "_training/trainer.py": [
        "tests/training/test_clipping.py",
        "tests/estimators/test_extreme_values.py",
        *FITS,
        *GRADIENTS,
        *CHECKPOINTS,
        *MEMORY,
    ],
    "_training/bptt.py": [*GRADIENTS, "tests/training/memory/test_fits_within_budgets.py", *MEMORY],
    "_training/losses.py": ["tests/training/test_losses.py", "tests/training/test_gradients.py"],
    "_training/optimizers.py": ["tests/training/test_optimizers.py", *FITS],
    "_training/scaling.py": ["tests/training/test_scaling.py"],
    "_training/monitor.py": [*FITS, *CHECKPOINTS],
    "_training/carried_state.py": ["tests/training/test_stateful.py"],
    "_training/lbfgs.py": FITS,
    "_training/dropout.py": GRADIENTS,
    "_training/truncation/fixed.py": [*GRADIENTS, *MEMORY],
    "_training/truncation/policy.py": GRADIENTS,
    "_training/truncation/unbiased.py": GRADIENTS,
    "_training/truncation/adaptive.py": [*GRADIENTS, *CHECKPOINTS],
    "_network/readouts.py": ["tests/network/test_readouts.py", *GRADIENTS],
    "_network/cells/cell.py": CELLS,
    "_network/cells/rnn.py": CELLS,
    "_network/cells/lstm.py": CELLS,
    "_network/cells/gru.py": CELLS,
    "_data/packing.py": ["tests/data/test_packing.py", *GRADIENTS],
    "_data/batches.py": ["tests/data/test_packing.py", "tests/estimators/test_weights_of_steps.py"],
}

# One change for each place and kind: of the twelve that an operator's sign could become, most fail at once.
OPERATORS = [
    *("ReplaceBinaryOperator_" + names for names in (
        "Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul",
        "BitAnd_BitOr", "BitOr_BitAnd",
    )),
    *("ReplaceComparisonOperator_" + names for names in (
        "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is",
    )),
    "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Invert",
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop",
]  # fmt: skip
LEFT_OUT = "left out"


class Mutant:
    """One change of one function of a module.

    Attributes
    ----------
    path : Path
    line : int
    operator : str
    code : CodeType
        Of the changed function; the function is the one that begins in the same line.
    text : str
        The changed line, or the one that is left out.
    """

    def __init__(self, path, line, operator, code, text):
        self.path, self.line, self.operator, self.code, self.text = path, line, operator, code, text

    def __str__(self):
        return f"{self.path.relative_to(PACKAGE)}:{self.line}  {self.operator}\n        {self.text.strip()}"

    def apply(self):
        """Give the changed code to the function, wherever it is."""
        functions = [
            function
            for function in gc.get_objects()
            if isinstance(function, FunctionType) and is_of(function.__code__, self.path, self.code)
        ]
        assert functions, self
        for function in functions:
            function.__code__ = self.code


def is_of(code, path, changed):
    return (code.co_filename, code.co_firstlineno, code.co_name) == (
        str(path),
        changed.co_firstlineno,
        changed.co_name,
    )


# ---- The mutants -----------------------------------------------------------------------------------------------------


def mutants_of(path, share, chooser):
    """Yield mutants of a module: a share of the places, chosen at random."""
    source = path.read_text()
    originals = functions_of(compile(source, str(path), "exec", dont_inherit=True))
    places = [*places_of_operators(source), *places_of_statements(source)]
    for line, operator, change in places:
        if chooser.random() >= share:
            continue
        changed_source = change()
        try:
            changed = functions_of(compile(changed_source, str(path), "exec", dont_inherit=True))
        except SyntaxError:
            continue
        # Annotations, docstrings and what runs at import leave all functions as they are.
        different = [code for key, code in changed.items() if code != originals.get(key)]
        if len(different) == 1 and changed.keys() == originals.keys():
            shown = source if operator == LEFT_OUT else changed_source
            yield Mutant(path, line, operator, different[0], shown.splitlines()[line - 1])


def functions_of(module):
    """Return the code of all functions and methods of a module, by their first line and name."""
    functions, found = {}, [module]
    while found:
        for code in found.pop().co_consts:
            if isinstance(code, CodeType):
                if code.co_flags & 0x2:  # CO_NEWLOCALS: a function, not the body of a class
                    functions[code.co_firstlineno, code.co_name] = code
                else:
                    found.append(code)
    return functions


def places_of_operators(source):
    """Yield the line, the name and the change of every place of every operator."""
    nodes, provider = list(ast_nodes(parso.parse(source))), OperatorProvider()
    for name in OPERATORS:
        operator = provider[name]()
        lines = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
        for i, line in enumerate(lines):
            yield line, name, lambda operator=operator, i=i: MutationVisitor.mutate_code(source, operator, i)


def places_of_statements(source):
    """Yield the same for statements that change something: each becomes ``pass``."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        is_change = isinstance(node, ast.Assign) and not isinstance(node.targets[0], (ast.Name, ast.Tuple))
        if is_call or is_change or isinstance(node, (ast.AugAssign, ast.Delete)):
            first, last = node.lineno - 1, node.end_lineno - 1
            begin, end = lines[first].encode()[: node.col_offset], lines[last].encode()[node.end_col_offset :]
            passed = begin.decode() + "pass" + "\\\n" * (last - first) + end.decode()

            def change(first=first, last=last, passed=passed):
                return "".join([*lines[:first], passed, *lines[last + 1 :]])

            yield node.lineno, LEFT_OUT, change


# ---- The tests -------------------------------------------------------------------------------------------------------


class Runner:
    """A plugin of pytest: runs tests in forked children, instead of running them all once.

    Parameters
    ----------
    mutants : list of Mutant
    time_for_each : float
        Seconds of tests for one mutant, as long as they took without a change.
    """

    def __init__(self, mutants, time_for_each):
        self.mutants, self.time_for_each = mutants, time_for_each
        self.survivors, self.n_killed, self.n_timeouts = [], Counter(), 0

    def pytest_runtestloop(self, session):
        self.items = session.items
        self.find_lines()
        start = time.perf_counter()
        for i, mutant in enumerate(self.mutants, 1):
            self.try_mutant(mutant)
            if i % 100 == 0:
                print(f"{i} mutants, {len(self.survivors)} survived, {time.perf_counter() - start:.0f} s", flush=True)
        return True

    def pytest_runtest_logreport(self, report):
        if report.failed:
            if os.environ.get("MUTANTS_SHOW"):
                print(report.longreprtext, file=sys.__stderr__)
            self.failed = True

    def find_lines(self):
        """Run all tests once; store the tests of each line of the modules, and their times."""
        paths = {str(mutant.path) for mutant in self.mutants}
        with tempfile.NamedTemporaryFile() as file:
            if os.fork() == 0:
                results = [self.lines_of(item, following, paths) for item, following in pairs(self.items)]
                Path(file.name).write_bytes(pickle.dumps(results))
                os._exit(0)
            os.wait()
            results = pickle.loads(Path(file.name).read_bytes())
        self.tests_of_line, self.times = defaultdict(list), [seconds for _, seconds, _ in results]
        for place in sorted(range(len(results)), key=self.times.__getitem__):
            passed, _, lines = results[place]
            for line in lines if passed else ():
                self.tests_of_line[line].append(place)
        failed = [self.items[i].nodeid for i, (passed, _, _) in enumerate(results) if not passed]
        print(f"{len(results)} tests in {sum(self.times):.0f} s; left out, because they fail: {failed}", flush=True)

    def lines_of(self, item, following, paths):
        """Return whether a test passes, its time, and the lines of the modules that it runs."""
        lines = set()

        def in_function(frame, event, argument):
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            return in_function

        def trace(frame, event, argument):
            return in_function(frame, event, argument) if frame.f_code.co_filename in paths else None

        start = time.process_time()
        sys.settrace(trace)
        try:
            passed = self.passes(item, following)
        finally:
            sys.settrace(None)
        return passed, time.process_time() - start, lines

    def passes(self, item, following):
        self.failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self.failed

    def try_mutant(self, mutant):
        """Run the tests of a mutant's line until one fails."""
        module = str(mutant.path.relative_to(PACKAGE))
        chosen, seconds = [], 0.0
        for place in self.tests_of_line[str(mutant.path), mutant.line]:
            if chosen and seconds + self.times[place] > self.time_for_each:
                break
            chosen.append(place)
            seconds += self.times[place]
        status = self.status_of_child(mutant, chosen, 10 + 5 * seconds)
        if status == 0:
            self.survivors.append((mutant, len(chosen)))
            outcome = f"survived {len(chosen)} tests" if chosen else "no test runs this line"
            print(f"{mutant}\n        {outcome}", flush=True)
        else:
            self.n_killed[module] += 1
            self.n_timeouts += status != 1

    def status_of_child(self, mutant, chosen, limit):
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            if not os.environ.get("MUTANTS_SHOW"):
                os.dup2(quiet, 2)
            # A loop without end uses up its time; a thread that waits for ever needs the alarm.
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 1))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10 * (int(limit) + 1))
            status = 1
            try:
                mutant.apply()
                status = int(
                    not all(self.passes(item, after) for item, after in pairs([self.items[i] for i in chosen]))
                )
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def pairs(items):
    return zip(items, [*items[1:], None])


def main():
    """Return the number of survivors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS), help="of the package; the engine's are the default")
    parser.add_argument("--share", type=float, default=1.0, help="of the places that are changed")
    parser.add_argument("--seed", type=int, default=0, help="of their choice")
    parser.add_argument("--time", type=float, default=20.0, help="seconds of tests for each mutant")
    parser.add_argument("--tests", nargs="*", help="instead of those that concern the modules")
    parser.add_argument("--only", help="only mutants whose file:line and operator have this text")
    arguments = parser.parse_args()
    chooser = random.Random(arguments.seed)
    paths = [PACKAGE / module for module in arguments.modules]
    mutants = [mutant for path in paths for mutant in mutants_of(path, arguments.share, chooser)]
    if arguments.only:
        mutants = [mutant for mutant in mutants if arguments.only in str(mutant)]
    runner = Runner(mutants, arguments.time)
    os.chdir(ROOT)
    tests = arguments.tests or sorted({test for module in arguments.modules for test in TESTS[module]})
    pytest.main(["-q", "-n0", "-s", "-p", "no:cacheprovider", *tests], [runner])
    tried = Counter(str(mutant.path.relative_to(PACKAGE)) for mutant in mutants)
    print(f"\n{'module':40} tried  killed  survived")
    for module, n in tried.items():
        print(f"{module:40} {n:5} {runner.n_killed[module]:7} {n - runner.n_killed[module]:9}")
    print(
        f"{len(mutants)} mutants, {sum(runner.n_killed.values())} killed, {runner.n_timeouts} of them by a time limit"
    )
    return len(runner.survivors)


if __name__ == "__main__":
    sys.exit(main() > 0)
