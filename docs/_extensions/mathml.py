"""Formulas as MathML, which every browser draws: no script, no font and no address outside the pages.

MathJax would come from another server. Packages that ship it are 24 MB large and were last released in 2022.
"""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError


def to_mathml(latex, display):
    """Return the formula as MathML; an error if a command is unknown, which would be shown as it is written."""
    if "\\\\" in latex and "\\begin{" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    mathml = convert(latex, display=display)
    if "\\" in mathml:
        raise ExtensionError(f"latex2mathml does not know every command in this formula: {latex}")
    return mathml


def split_row(latex):
    r"""Return the formulas that stand in a row, with ``\qquad`` between them; a narrow page puts them in a column."""
    parts = latex.split(r"\qquad")
    is_row = all(part.strip() and part.count("{") == part.count("}") for part in parts)
    return parts if is_row and r"\begin" not in latex else [latex]


def visit_math(translator, node):
    """Write an inline formula."""
    translator.body.append(to_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_math_block(translator, node):
    """Write a formula of its own, in a box that scrolls where the page is narrower."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({node["number"]})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body += [to_mathml(formula, "block") for formula in split_row(node.astext())]
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Add the renderer; ``html_math_renderer = "mathml"`` chooses it."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
