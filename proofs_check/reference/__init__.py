"""Reference values for other libraries: small models with their exact figures as JSON, every number a fraction.

    from proofs_check import reference

    case = reference.load("chain(3)")
    case.floats("transitions")                       (S, A, S') float64
    case.floats("uniform", "softmax_gradient")       (S, A)
    case.exact("optimal", "values")                  (S,) of fractions.Fraction
    case.mdp()                                       the model as mdps.MDP

`names()` lists the models; the files lie in `proofs_check/reference/data` and are plain JSON, for programs in any language.
`compute(model)` gives the same figures for another model, as `pgtheory reference MODEL --json` prints them.
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {**dict.fromkeys(("Reference", "load", "names", "path"), "files"), "compute": "figures"}
__all__ = [*_HOME]
__getattr__, __dir__ = lazily(__name__, _HOME)
