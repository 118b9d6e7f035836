"""Prints the largest differences between the package and torch at the end of a run."""

import pytest

PREFIX = "largest relative difference: "


@pytest.fixture
def record_difference(record_property):
    """A function of (category, difference) that stores a difference for the summary."""
    return lambda category, difference: record_property(PREFIX + category, float(difference))


def pytest_terminal_summary(terminalreporter):
    # Reports carry these properties from pytest-xdist's workers to the main process, which prints.
    largest = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name.startswith(PREFIX):
                    category = name.removeprefix(PREFIX)
                    largest[category] = max(value, largest.get(category, 0.0))
    if largest:
        terminalreporter.section("largest relative differences from torch")
        for category, value in sorted(largest.items()):
            terminalreporter.line(f"{category}: {value:.1e}")
