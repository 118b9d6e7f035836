"""The link to the documentation in the HTML diagrams of the estimators."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata


@cache
def documentation_address() -> str | None:
    """Return the documentation's address, which pyproject.toml names; None if the package is not installed."""
    try:
        urls = metadata("sklearn-rnn").get_all("Project-URL", [])
    except PackageNotFoundError:  # imported from a folder
        return None
    return dict(url.split(", ", 1) for url in urls)["Documentation"]


class DocumentationLinkMixin:
    """Links the diagram to the estimator's page in the API reference, by scikit-learn's ``_doc_link_...`` protocol.

    Subclasses that users define have no page, so they get no link.
    """

    _doc_link_module = "sklearn_rnn"

    @property
    def _doc_link_template(self) -> str:
        # /page/ is how Read the Docs names the default version, the stable one if there are several.
        return f"{documentation_address()}/page/generated/{{estimator_module}}.{{estimator_name}}.html"

    def _get_doc_link(self) -> str:
        return super()._get_doc_link() if documentation_address() else ""  # type: ignore[misc]
