"""Renders equations as MathML, which browsers draw by themselves: the site needs no script for it.

Equations are written as GitHub reads them: a fence named `math`, or `` $`x`$ `` within a line.
"""

import re

from latex2mathml.converter import convert

BLOCK = re.compile(r"^```math\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"\$`([^`]+)`\$")


def on_page_markdown(markdown: str, **_) -> str:
    """Replaces the equations of a page before Markdown is read."""
    markdown = BLOCK.sub(lambda found: _mathml(found[1], "block"), markdown)
    return INLINE.sub(lambda found: _mathml(found[1], "inline"), markdown)


def _mathml(latex: str, display: str) -> str:
    mathml = convert(" ".join(latex.split()), display=display)
    tag = "div" if display == "block" else "span"  # Markdown ends a paragraph at a bare <math>
    return f'<{tag} class="equation">{mathml}</{tag}>'
