"""Diagnosis: what was found, as a table for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from textwrap import fill
from typing import NamedTuple

WIDTH = 88


class Finding(NamedTuple):
    """One thing that is wrong, or may be.

    Attributes
    ----------
    name : str
        Such as "vanishing gradient".
    number : float
        The measured figure.
    text : str
        A sentence that tells of the number.
    advice : str
        What to try.
    """

    name: str
    number: float
    text: str
    advice: str


class Diagnosis:
    """The findings of :func:`diagnose`, which prints as a table, also in notebooks.

    It is iterable, and has the length and the truth of a list of the findings.

    Attributes
    ----------
    findings : list of Finding
        Named tuples of name, number, text and advice.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings

    @property
    def names(self) -> list[str]:
        """Names of the findings."""
        return [finding.name for finding in self.findings]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __repr__(self) -> str:
        if not self.findings:
            return "No findings."
        return "\n".join(
            f"{name}\n{_indented(text)}\n{_indented(f'Try: {advice}')}" for name, _, text, advice in self.findings
        )

    def _repr_html_(self) -> str:
        if not self.findings:
            return "<p>No findings.</p>"
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(text)}</td><td>{escape(advice)}</td></tr>"
            for name, _, text, advice in self.findings
        )
        return f"<table><tr><th>finding</th><th>what was measured</th><th>what to try</th></tr>{rows}</table>"


def _indented(text: str) -> str:
    return fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
