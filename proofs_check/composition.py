"""From lemmas to a theorem: the step that no lemma states, checked symbolically.

A claim's `chain` says, for a form, which rules make it of which lemmas, in order:

    chain={"rate": (
        cite("softmax-sufficient-increase:at least"),                            V increases by at least ... |grad|^2
        weaken("gradient_norm", "softmax-lojasiewicz:mdp", start="mu"),          the gradient is at least ... gap
        square_recursion("gap_mu"),                                              gap_t <= 1/(kappa t)
        under("change-of-measure:gap"),                                          gap(rho) <= |rho/mu| gap(mu)
    )}

`compose` carries this out on the statements as they stand in the catalogue and compares what comes out with the theorem's statement: equal as
functions, or stronger by a factor that it reports.  It fails where a lemma bounds the wrong side, where a bound does not move in the needed
direction, where a rule's hypothesis does not have its form, or where a lemma speaks of other instances or another method than the theorem.  The
rules are proved in `proofs_check.rules`; a lemma's own truth is another matter, and its own claim.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import sympy

from mdps.errors import ModelError
from proofs_check import expression
from proofs_check.domains import Between, is_free
from proofs_check.quantities import quantity
from proofs_check.rules import RULES
from proofs_check.signs import SHARE_OF, falls, nonnegative, rises, same
from proofs_check.statement import Statement

if TYPE_CHECKING:
    from proofs_check.claim import Case
    from proofs_check.domains import Domain

DIFFERENCES = {"gap_mu": "value_increase_mu", "gap_sup": "gap_sup_drop"}
"""a -> the quantity that is a_t - a_(t+1)."""
STARTS = {"gap_mu": "gap_mu_0", "gap_sup": "gap_sup_0", "soft_error_sum": "soft_error_sum_0"}
"""a -> a_0."""
NEXT = {"gap_sup": "next_gap_sup", "soft_error_sum": "next_soft_error_sum", "soft_q_gap": "next_soft_q_gap", "log_policy_gap": "next_log_policy_gap"}
"""a -> a_(t+1)."""
TOTALS = {"divergence_drop": "divergence_spent", "value_increase_optimal": "value_rise_optimal"}
"""F_t - F_(t+1) (or its negative) -> the sum of these over all steps before t."""
RHO_IS: dict[str, dict[str, Any]] = {
    "mu": {"gap_rho": "gap_mu", "mismatch_rho_policy": "mismatch_mu_policy", "rho_over_mu": 1, "value_increase_rho": "value_increase_mu"},
    "optimal visits": {"value_increase_rho": "value_increase_optimal", "log_normaliser": "log_normaliser_optimal"},
}
"""What quantities become where a lemma about every rho is used with a particular one: mu itself, or the optimal policy's visits from rho."""
FALLS_WITH_VALUES = ("gap_rho", "gap_mu", "gap_sup")
"""Quantities that cannot grow while no state's value falls."""
ABOUT_RHO = ("gap_rho", "rho_over_mu", "mismatch_rho_policy", "value_increase_rho", "log_normaliser", "value_increase_optimal", "value_rise_optimal",
             "log_normaliser_optimal", "divergence_drop", "divergence_spent")  # fmt: skip
"""Quantities that depend on rho."""
OPPOSITE = {"<=": ">=", ">=": "<=", "=": "="}


class CompositionError(ModelError):
    """A chain that does not give its theorem: says at which link and why."""


@dataclasses.dataclass(frozen=True)
class Link:
    """One step of a chain: a rule, the lemma ("claim:form") that it uses, the quantity that it works on, and which rho the lemma is used with."""

    rule: str
    lemma: str = ""
    quantity: str = ""
    start: str = ""
    also: str = ""


def cite(lemma: str, start: str = "") -> Link:
    """Begins with a lemma's statement."""
    return Link("cite", lemma, start=start)


def weaken(name: str, lemma: str, start: str = "") -> Link:
    """Replaces a quantity on the right by the bound that a lemma gives for it."""
    return Link("weaken", lemma, name, start)


def gradient_step(lemma: str, side: str = "least") -> Link:
    """From a bound of the Hessian's norm to the least (or most) that one gradient step gains."""
    return Link("gradient step", lemma, also=side)


def square_recursion(name: str, start: str = "", keep: bool = False) -> Link:
    """a_t - a_(t+1) >= kappa a_t^2 becomes a_t <= 1/(kappa t), or 1/(kappa (t+1)) with a lemma that bounds a_0, or a_0/(1 + kappa a_0 t): `keep`."""
    return Link("square recursion", start, name, also="keep" if keep else "")


def lower_square_recursion(name: str, lemma: str) -> Link:
    """a_t - a_(t+1) <= C a_t^2 becomes a lower bound of a_t; the lemma says that a_t does not grow."""
    return Link("lower square recursion", lemma, name)


def contraction(name: str) -> Link:
    """a_(t+1) <= q a_t becomes a_t <= q^t a_0."""
    return Link("contraction", "", name)


def telescoping(name: str, lemma: str) -> Link:
    """A bound of a_t by differences of potentials becomes one of a_t by their ends; the lemma says that a_t does not grow."""
    return Link("telescoping", lemma, name)


def under(lemma: str) -> Link:
    """Ends with a lemma whose right side holds the quantity bounded so far."""
    return Link("under", lemma)


def one_later(name: str, lemma: str) -> Link:
    """A lemma that bounds the next step's quantity by the one bounded so far: what holds at every t - 1 becomes a bound at every t >= 1."""
    return Link("one later", lemma, name)


RECURSIONS = ("square recursion", "lower square recursion", "contraction", "telescoping")


@dataclasses.dataclass(frozen=True)
class Stage:
    """The statement that stands after a link."""

    link: Link
    statement: Statement

    @property
    def name(self) -> str:
        """The lemma that was used, or the rule."""
        return self.link.lemma if self.link.rule in ("cite", "weaken", "under", "gradient step", "one later") else self.link.rule


@dataclasses.dataclass(frozen=True)
class Composition:
    """What a chain derives: the statement after every link, and how it compares with the theorem's."""

    case: Case
    stages: tuple[Stage, ...]
    surplus: sympy.Expr  # the theorem's bound / the derived one (the inverse for >=); 1 where they are equal
    notes: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether the chain gives the theorem's bound itself, not a better one."""
        return self.surplus == 1

    @property
    def lemmas(self) -> tuple[str, ...]:
        """The lemmas used, in order."""
        return tuple(dict.fromkeys(stage.link.lemma for stage in self.stages if stage.link.lemma))

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of `proofs_check.rules` used, in order."""
        return tuple(dict.fromkeys(stage.link.rule for stage in self.stages if stage.link.rule in RULES))

    def text(self) -> str:
        """One sentence for people."""
        means = "gives exactly this bound" if self.exact else f"gives a bound that is better by the factor {expression.text(self.surplus)}"
        by = f" by {' and '.join(self.rules)}" if self.rules else ""
        return f"the composition of {', '.join(self.lemmas)}{by} {means} (checked symbolically)"


def compose(claim: object, form: str | None = None) -> Composition:
    """Carries out the chain of a claim's form (the first that has one by default); raises CompositionError where it does not give the theorem."""
    from proofs_check.catalogue import get_claim

    chosen: Any = get_claim(claim) if isinstance(claim, str) else claim
    if not chosen.chain:
        raise CompositionError(f"{chosen.id} has no chain")
    name = form or next(iter(chosen.chain))
    return compose_case(chosen.case(chosen.form(name)))


def compose_case(case: Case) -> Composition:
    """`compose` for a form with everything filled in."""
    if not case.chain:
        raise CompositionError(f"{case.claim}:{case.name} has no chain")
    work = _Work(case)
    stages = tuple(Stage(link, work.take(link)) for link in case.chain)
    derived, wanted = stages[-1].statement, _with_settings(case, case.statement)
    if not same(derived.left, wanted.left) or derived.relation not in (wanted.relation, "="):
        raise CompositionError(f"{case.claim}:{case.name}: the chain bounds {derived.text()}, the theorem speaks of {wanted.text()}")
    if same(derived.right, wanted.right):
        surplus = sympy.Integer(1)
    else:
        better = wanted.right - derived.right if wanted.relation == "<=" else derived.right - wanted.right
        if wanted.relation == "=" or not nonnegative(better):
            raise CompositionError(f"{case.claim}:{case.name}: the chain gives {derived.text()}, which does not imply {wanted.text()}")
        quotient = wanted.right / derived.right if wanted.relation == "<=" else derived.right / wanted.right
        rest = sympy.Symbol("rest", positive=True)  # 1 - gamma, so that it is written so
        surplus = sympy.factor(sympy.cancel(sympy.together(quotient.subs(sympy.Symbol("gamma"), 1 - rest)))).subs(rest, 1 - sympy.Symbol("gamma"))
    return Composition(case, stages, surplus, tuple(dict.fromkeys(work.notes)))


def lemma_statement(case: Case, link: Link) -> Statement:
    """What the lemma of a link says for the instances, method and settings of `case`."""
    return _Work(case).lemma(link)


class _Work:
    """The statement that stands so far, changed link by link."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.now: Statement | None = None
        self.notes: list[str] = []

    def take(self, link: Link) -> Statement:
        rule = RULES.get(link.rule)
        if rule is not None and not rule.check():
            raise self.wrong(link, f"the rule's own proof fails: {'; '.join(rule.failures)}")
        if self.now is None and link.rule not in ("cite", "gradient step"):
            raise self.wrong(link, "a chain begins with a lemma")
        self.now = getattr(self, f"_{link.rule.replace(' ', '_')}")(link)
        assert self.now is not None
        return self.now

    def wrong(self, link: Link, why: str) -> CompositionError:
        what = " ".join(part for part in (link.rule, link.quantity, link.lemma) if part)
        return CompositionError(f"{self.case.claim}:{self.case.name}, link {what!r}: {why}")

    # Lemmas

    def lemma(self, link: Link) -> Statement:
        """The lemma's statement for the theorem's instances, method and settings."""
        from proofs_check.catalogue import get_claim

        identifier, _, form = link.lemma.partition(":")
        claim = get_claim(identifier)
        case = claim.case(claim.form(form) if form else claim.forms[0])
        unmet = _beyond(case, self.case.domain, link.start)
        if case.process is not None and type(case.process) is not type(self.case.process):
            unmet.append(f"a run of {type(case.process).__name__}")
        if unmet:
            raise self.wrong(link, f"the lemma asks for {' and '.join(unmet)}, which the theorem does not")
        for a, b in case.where:
            if (str(a), str(b)) not in [(str(x), str(y)) for x, y in self.case.where]:
                raise self.wrong(link, f"the lemma holds where {a} < {b}, which the theorem does not say")
        for name, rule in case.settings.items():
            mine = self.case.settings.get(name)
            if isinstance(rule, Between) and mine is not None and str(mine) != str(rule) and not _inside(self.case, mine, rule):
                self.notes.append(f"{link.lemma} is checked for {name} in [{rule.low}, {rule.high}], here it is {_range(mine)}")
            elif not is_free(rule) and not (mine is not None and same(sympy.sympify(rule), sympy.sympify(mine))):
                raise self.wrong(link, f"the lemma has {name} = {rule}, the theorem {_range(mine)}")
        statement = _with_settings(self.case, case.statement)
        if link.start:
            moved = {sympy.Symbol(a): sympy.Symbol(b) if isinstance(b, str) else sympy.Integer(b) for a, b in RHO_IS[link.start].items()}
            statement = Statement(statement.left.subs(moved), statement.relation, statement.right.subs(moved))
            left_over = statement.names() & (set(ABOUT_RHO) - set(map(str, RHO_IS[link.start].values())))
            if left_over:
                raise self.wrong(link, f"{', '.join(sorted(left_over))} has no meaning with rho = {link.start}")
        return statement

    def _cite(self, link: Link) -> Statement:
        return self.lemma(link)

    def _gradient_step(self, link: Link) -> Statement:
        bound = self.lemma(link)
        process = self.case.process
        if process is None or getattr(process, "name", "") != "softmax-pg":
            raise self.wrong(link, "the theorem's method takes no gradient steps")
        if str(bound.left) != "hessian_norm" or bound.relation != "<=":
            raise self.wrong(link, "the lemma does not bound the Hessian's norm from above")
        self.fixed(link, bound.right, "the bound of the Hessian")
        eta = _with_settings(self.case, Statement(sympy.Symbol("gamma"), "<=", process.step_size)).right
        sign, relation = (-1, ">=") if link.also == "least" else (1, "<=")
        return Statement(sympy.Symbol("value_increase_mu"), relation, (eta + sign * bound.right * eta**2 / 2) * sympy.Symbol("gradient_norm") ** 2)

    def _weaken(self, link: Link) -> Statement:
        assert self.now is not None
        bound, x = self.solved(link), sympy.Symbol(link.quantity)
        relation = self.now.relation if self.now.relation != "=" else self.case.statement.relation
        if not self.now.right.has(x):
            raise self.wrong(link, f"{self.now.text()} does not hold {link.quantity}")
        right = self.in_range(self.now.right)
        if rises(right, link.quantity):
            needed = relation
        elif falls(right, link.quantity):
            needed = OPPOSITE[relation]
        else:
            raise self.wrong(link, f"{expression.text(self.now.right)} is not seen to move one way with {link.quantity}")
        if bound.relation not in (needed, "="):
            raise self.wrong(link, f"{self.now.text()} needs a lemma {link.quantity} {needed} ..., this one says {bound.text()}")
        return Statement(self.now.left, relation, self.now.right.subs(x, bound.right))

    def solved(self, link: Link) -> Statement:
        """The lemma as a bound of `link.quantity`: as it stands, or, where its right side is a multiple of it, turned around."""
        bound, x = self.lemma(link), sympy.Symbol(link.quantity)
        if bound.left == x:
            return bound
        share = _quotient(bound.right, x)
        if bound.left.has(x) or share.has(x) or not nonnegative(share):
            raise self.wrong(link, f"{bound.text()} does not bound {link.quantity}")
        return Statement(x, OPPOSITE[bound.relation], bound.left / share)

    def _under(self, link: Link) -> Statement:
        assert self.now is not None
        bound = self.lemma(link)
        if bound.relation != self.now.relation or not bound.right.has(self.now.left):
            raise self.wrong(link, f"{bound.text()} is no use for {self.now.text()}")
        if not rises(bound.right, str(self.now.left)):
            raise self.wrong(link, f"{expression.text(bound.right)} is not seen to rise with {self.now.left}")
        return Statement(bound.left, bound.relation, bound.right.subs(self.now.left, self.now.right))

    def _one_later(self, link: Link) -> Statement:
        assert self.now is not None
        bound = self.lemma(link)
        if str(bound.left) != NEXT.get(link.quantity) or bound.relation != self.now.relation or not bound.right.has(self.now.left):
            raise self.wrong(link, f"{bound.text()} does not bound {link.quantity}_(t+1) by {self.now.text()}")
        share = _quotient(bound.right, self.now.left)
        self.fixed(link, share, "the factor")
        if not nonnegative(share):
            raise self.wrong(link, f"{expression.text(share)} is not seen to be >= 0")
        if not any(small == 0 and str(large) == "t" for small, large in self.case.where):
            raise self.wrong(link, "the theorem does not say 0 < t")
        t = sympy.Symbol("t")
        return Statement(sympy.Symbol(link.quantity), bound.relation, share * self.now.right.subs(t, t - 1))

    # Rules over time

    def _square_recursion(self, link: Link) -> Statement:
        kappa, a, t = self.coefficient(link, ">="), sympy.Symbol(link.quantity), sympy.Symbol("t")
        if link.also:
            first = sympy.Symbol(STARTS[link.quantity])
            return Statement(a, "<=", first / (1 + kappa * first * t))
        if not link.lemma:
            return Statement(a, "<=", 1 / (kappa * t))
        start = self.lemma(link)
        if str(start.left) != STARTS[link.quantity] or start.relation != "<=":
            raise self.wrong(link, f"{start.text()} does not bound {STARTS[link.quantity]} from above")
        if not nonnegative(1 - kappa * start.right):
            raise self.wrong(link, f"kappa a_0 <= 1 is not seen: kappa a_0 <= {expression.text(kappa * start.right)}")
        return Statement(a, "<=", 1 / (kappa * (t + 1)))

    def _lower_square_recursion(self, link: Link) -> Statement:
        c, a, t = self.coefficient(link, "<="), sympy.Symbol(STARTS[link.quantity]), sympy.Symbol("t")
        self.does_not_grow(link)
        if not any(same(small, c * a) and large == 1 for small, large in self.case.where):
            raise self.wrong(link, f"the theorem does not say that C a_0 = {expression.text(c * a)} < 1")
        return Statement(sympy.Symbol(link.quantity), ">=", a * (1 - c * a) / ((1 - c * a) + c * a * t))

    def coefficient(self, link: Link, relation: str) -> sympy.Expr:
        """kappa of a_t - a_(t+1) >= kappa a_t^2 (or <=), free of what changes from step to step."""
        assert self.now is not None
        if str(self.now.left) != DIFFERENCES.get(link.quantity) or self.now.relation != relation:
            raise self.wrong(link, f"{self.now.text()} is no bound {relation} of {link.quantity}_t - {link.quantity}_(t+1)")
        kappa = _quotient(self.now.right, sympy.Symbol(link.quantity) ** 2)
        self.fixed(link, kappa, "the coefficient of the square")
        if not nonnegative(self.in_range(kappa)):
            raise self.wrong(link, f"{expression.text(kappa)} is not seen to be >= 0")
        return kappa

    def in_range(self, tree: sympy.Expr) -> sympy.Expr:
        """The tree with each setting that ranges up to some end written as a share of that end."""
        ends = {name: rule.high for name, rule in self.case.settings.items() if isinstance(rule, Between)}
        return tree.subs({sympy.Symbol(name): sympy.Symbol(f"{SHARE_OF}{name}") * sympy.sympify(end) for name, end in ends.items()})

    def _contraction(self, link: Link) -> Statement:
        assert self.now is not None
        a = sympy.Symbol(link.quantity)
        if str(self.now.left) != NEXT.get(link.quantity) or self.now.relation != "<=":
            raise self.wrong(link, f"{self.now.text()} is no bound of {link.quantity}_(t+1) from above")
        q = _quotient(self.now.right, a)
        self.fixed(link, q, "the factor")
        if not nonnegative(q):
            raise self.wrong(link, f"{expression.text(q)} is not seen to be >= 0")
        return Statement(a, "<=", q ** sympy.Symbol("t") * sympy.Symbol(STARTS[link.quantity]))

    def _telescoping(self, link: Link) -> Statement:
        assert self.now is not None
        if str(self.now.left) != link.quantity or self.now.relation != "<=":
            raise self.wrong(link, f"{self.now.text()} does not bound {link.quantity} from above")
        self.does_not_grow(link)
        drops = [sympy.Symbol(name) for name in sorted(TOTALS) if name in self.now.names()]
        parts = sympy.Poly(sympy.expand(self.now.right), *drops) if drops else None
        if parts is None or parts.total_degree() > 1 or parts.coeff_monomial(1) != 0:
            raise self.wrong(link, f"{expression.text(self.now.right)} is no sum of multiples of differences of potentials")
        total = sympy.Integer(0)
        for drop in drops:
            weight = parts.coeff_monomial(drop)
            self.fixed(link, weight, f"the weight of {drop}")
            total += weight * sympy.Symbol(TOTALS[drop.name])
        return Statement(self.now.left, "<=", total / sympy.Symbol("t"))

    def does_not_grow(self, link: Link) -> None:
        """The lemma must say that no state's value falls."""
        says = self.lemma(link)
        if link.quantity not in FALLS_WITH_VALUES or says.text() != "next_state_values >= state_values":
            raise self.wrong(link, f"{says.text()} does not say that {link.quantity} never grows")

    def fixed(self, link: Link, tree: sympy.Expr, what: str) -> None:
        """What the rule takes for a constant must be one of the instance, or an extreme of everything so far."""
        moving = [s.name for s in tree.free_symbols if quantity(s.name).varies != "instance" and not quantity(s.name).history]
        if moving:
            raise self.wrong(link, f"{what} changes from step to step: {', '.join(sorted(moving))}")


def _quotient(above: sympy.Expr, below: sympy.Expr) -> sympy.Expr:
    """above / below, multiplied out only where that is needed to cancel."""
    plain = above / below
    return sympy.cancel(plain) if plain.has(*below.free_symbols) else plain


def _with_settings(case: Case, statement: Statement) -> Statement:
    """The settings that depend on the problem replaced by what they are; free ones stay symbols.  A bandit has gamma = 0 and S = 1."""
    swap = {sympy.Symbol(name): sympy.sympify(rule) for name, rule in case.settings.items() if not is_free(rule)}
    swap |= {sympy.Symbol("gamma"): sympy.Integer(0), sympy.Symbol("S"): sympy.Integer(1)} if case.domain.bandit else {}
    for _ in swap:
        swap = {name: rule.subs(swap) for name, rule in swap.items()}
    return Statement(statement.left.subs(swap), statement.relation, statement.right.subs(swap))


def _beyond(case: Case, theorem: Domain, start: str) -> list[str]:
    """What the lemma assumes of instances and the theorem does not."""
    lemma = case.domain
    wide = {"uniform": ("uniform", "interior", "any"), "interior": ("interior", "any"), "deterministic": ("deterministic", "any"), "any": ("any",)}
    out = []
    if lemma.bandit and not theorem.bandit:
        out.append("a bandit")
    if lemma.rewards is not None and (
        theorem.rewards is None or not (lemma.rewards[0] <= theorem.rewards[0] and theorem.rewards[1] <= lemma.rewards[1])
    ):
        out.append(f"rewards in [{lemma.rewards[0]}, {lemma.rewards[1]}]")
    if lemma.policy not in wide[theorem.policy]:
        out.append(f"a policy that is {lemma.policy}")
    if lemma.mu == "positive" and theorem.mu != "positive":
        out.append("mu > 0")
    if lemma.rho == "mu" and theorem.rho != "mu" and start != "mu" and case.statement.names() & set(ABOUT_RHO):
        out.append("rho = mu")
    return out


def _inside(case: Case, rule: object, outer: Between) -> bool:
    """Whether a setting, fixed or free, is seen to lie between the ends of `outer`."""
    low, high = (rule.low, rule.high) if isinstance(rule, Between) else (rule, rule)
    ends = [Statement(sympy.sympify(a) - sympy.sympify(b), ">=", sympy.Integer(0)) for a, b in ((low, outer.low), (outer.high, high))]
    return all(nonnegative(_with_settings(case, end).left) for end in ends)


def _range(rule: object) -> str:
    return f"in [{rule.low}, {rule.high}]" if isinstance(rule, Between) else str(rule)
