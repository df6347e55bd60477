"""Signs of expressions over quantities, decided exactly and never guessed.

Each quantity ranges over an interval that its definition gives: 0 <= gamma < 1, S >= 1, probabilities in (0, 1], ratios of two distributions
have a maximum of at least 1, everything else is at least 0.  A substitution turns each interval into "any u >= 0"
(gamma = 1 - 1/(1+u)^2, S = (1+u)^2, c = 1/(1+u)^2, mismatch = (1+u)^2; squares, so that the roots in bounds stay rational).  A quotient of
polynomials in the u with coefficients >= 0 is then >= 0 everywhere: a sufficient test, exact where it says yes.  It may fail to see a sign.
"""

from __future__ import annotations

import sympy

PROBABILITIES = ("c_inf", "min_optimal_probability", "stage_optimal_probability", "fraction")
SHARE_OF = "share_of_"
"""How the name of a symbol begins that stands for a number in (0, 1]."""
AT_LEAST_ONE = (
    "S", "A", "mismatch", "mismatch_rho_policy", "mismatch_mu_policy", "largest_mismatch", "policy_mismatch", "rho_over_mu", "inverse_mu",
    "mismatch_rho_mu", "soft_mismatch", "soft_mismatch_policy", "stage_mismatch",
)  # fmt: skip


def nonnegative(expression: sympy.Expr) -> bool:
    """Whether the expression is seen to be >= 0 for all values that its quantities can take (False: not seen)."""
    above, below = sympy.fraction(sympy.cancel(sympy.together(_freed(expression))))
    return above == 0 or _sign(above) * _sign(below) > 0


def rises(expression: sympy.Expr, name: str) -> bool:
    """Whether the expression is seen not to fall as that quantity grows."""
    return nonnegative(sympy.diff(expression, sympy.Symbol(name)))


def falls(expression: sympy.Expr, name: str) -> bool:
    """Whether the expression is seen not to grow as that quantity grows."""
    return nonnegative(-sympy.diff(expression, sympy.Symbol(name)))


def same(a: sympy.Expr, b: sympy.Expr) -> bool:
    """Whether two expressions are the same function on the ranges of their quantities."""
    return sympy.cancel(sympy.together(_freed(a - b))) == 0


def _freed(expression: sympy.Expr) -> sympy.Expr:
    """Over positive variables: `root_x` stands for 1 + u.  The logarithm of a quantity that is at least 1 is a variable of its own, and so is a
    power of something nonnegative with a variable exponent: more freedom than there is, so that a sign stays right."""
    expression = sympy.sympify(expression)
    logs = [term for term in expression.atoms(sympy.log) if term.args[0].is_Symbol and term.args[0].name in AT_LEAST_ONE]
    expression = expression.subs({term: sympy.Symbol(f"log_{term.args[0]}", nonnegative=True) for term in logs})
    powers = [term for term in expression.atoms(sympy.Pow) if not term.exp.is_number and nonnegative(term.base)]
    expression = expression.subs({term: sympy.Symbol(f"power_{k}", nonnegative=True) for k, term in enumerate(sorted(powers, key=str))})
    swap: dict[sympy.Expr, sympy.Expr] = {}
    for symbol in expression.free_symbols:
        if symbol.is_nonnegative:
            continue
        root = sympy.Symbol(f"root_{symbol.name}", positive=True)
        if symbol.name == "gamma":
            swap[symbol] = 1 - 1 / root**2
        elif symbol.name in PROBABILITIES or symbol.name.startswith(SHARE_OF):
            swap[symbol] = 1 / root**2
        else:
            swap[symbol] = root**2 if symbol.name in AT_LEAST_ONE else sympy.Symbol(symbol.name, positive=True)
    return expression.subs(swap)


def _sign(part: sympy.Expr) -> int:
    """1 or -1 where the coefficients of a polynomial are all of that sign, as it stands or in the u of root = 1 + u; 0 where that is not seen."""
    symbols = sorted(part.free_symbols, key=str)
    if not symbols:
        return 1 if part.is_positive else -1 if part.is_negative else 0
    try:
        ring, polynomial = sympy.polys.rings.sring(part, *symbols)[:2]
    except (sympy.PolynomialError, sympy.polys.polyerrors.CoercionFailed):
        return 0
    if len(ring.gens) != len(symbols):
        return 0  # something beside powers of the variables
    grown = [(x, x + 1) for x, symbol in zip(ring.gens, symbols, strict=True) if symbol.name.startswith("root_")]
    for candidate in (polynomial, polynomial.compose(grown) if grown else polynomial):
        coefficients = [ring.domain.to_sympy(c) for c in candidate.coeffs()]
        if all(c.is_nonnegative for c in coefficients):
            return 1
        if all(c.is_nonpositive for c in coefficients):
            return -1
    return 0
