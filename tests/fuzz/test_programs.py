"""Programs drawn at random; as many as SKLEARN_RNN_FUZZ_PROGRAMS says. benchmarks/fuzz.py runs more of them."""

import os

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from programs import SETTINGS, ClassifierPrograms, RegressorPrograms

N_PROGRAMS = int(os.environ.get("SKLEARN_RNN_FUZZ_PROGRAMS", "500"))


@pytest.mark.parametrize("programs", [ClassifierPrograms, RegressorPrograms])
def test_programs_keep_the_promises(programs):
    # The same programs at each run, so that the test fails for a change alone.
    same = settings(SETTINGS, max_examples=N_PROGRAMS // 2, derandomize=True)
    run_state_machine_as_test(programs, settings=same)
