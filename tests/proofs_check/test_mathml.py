"""MathML: well-formed, complete for everything that the catalogue and the quantities write, and an error instead of half a formula."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from proofs_check.catalogue import claims
from proofs_check.mathml import from_latex
from proofs_check.quantities import quantities

MATH = "{http://www.w3.org/1998/Math/MathML}"


def read(latex: str) -> ElementTree.Element:
    return ElementTree.fromstring(from_latex(latex))


def words(latex: str) -> str:
    """What a reader sees, without layout."""
    return "".join(read(latex).itertext())


def test_every_quantity_and_every_statement_is_typeset():
    for found in quantities().values():
        assert words(found.latex)
    for claim in claims().values():
        for case in claim.cases():
            element = ElementTree.fromstring(case.statement.mathml())
            assert element.get("alttext") == case.statement.latex()
            assert len(list(element.iter())) > 3
            for assumption in case.domain.assumptions():
                assert words(assumption.latex)


def test_structure():
    fraction = read(r"\frac{1}{1 - \gamma}")[0]
    assert fraction.tag == f"{MATH}mfrac" and ["".join(part.itertext()) for part in fraction] == ["1", "1−γ"]
    power = read(r"\left(1 - \gamma\right)^{2}")[0]
    assert power.tag == f"{MATH}msup" and "".join(power[1].itertext()) == "2"
    both = read(r"d^{\pi}_{\mu}")[0]
    assert both.tag == f"{MATH}msubsup" and [part.text for part in both] == ["d", "μ", "π"]
    half = read(r"\tfrac12x")[0][0]  # one digit each, as LaTeX has it
    assert half.tag == f"{MATH}mfrac" and [part.text for part in half] == ["1", "2"]
    limits = read(r"\max_s x")
    assert limits[0].tag == f"{MATH}munder" or limits[0][0].tag == f"{MATH}munder"
    assert words(r"V^{\pi'}(\mu)") == "Vπ′(μ)"
    assert words(r"\mathbb{E}_{s\sim\rho}") == "𝔼s∼ρ"


def test_markup_in_text_stays_text():
    assert words(r"a < b") == "a<b" and words(r"\text{<b>&}") == "<b>&"
    assert read(r"x \le y").get("alttext") == r"x \le y"


def test_relations_keep_their_direction():
    assert words(r"a \le b") == "a≤b" and words(r"a \ge b") == "a≥b"


@pytest.mark.parametrize("wrong", [r"\unknown{x}", r"\frac{1}", r"{x", r"\left(x", r"x^", r"\text x", r"\sqrt"])
def test_what_cannot_be_read_is_an_error(wrong):
    with pytest.raises(ValueError, match=r".") as caught:
        from_latex(wrong)
    assert re.search(r"MathML|ends|missing|delimiter", str(caught.value))


@pytest.mark.parametrize("wrong", ["x}", "^2", "_a", "x & y", "$x$"])
def test_a_mark_without_its_partner_is_an_error(wrong):
    with pytest.raises(ValueError, match="stands alone"):
        from_latex(wrong)
