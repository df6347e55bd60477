r"""LaTeX, as this library writes it, to presentation MathML, which browsers typeset without script or network.

The subset: letters, numbers, operators, Greek and a few named symbols, {} groups, ^ and _, \frac \tfrac \sqrt, \left \right, \mathbb, \text,
\textstyle and the functions \log \exp \max \min \sup.  Anything else is an error, so that a page never shows half a formula.
"""

from __future__ import annotations

import html
import re
import unicodedata

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ",
    "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "psi": "ψ", "omega": "ω", "Delta": "Δ", "Phi": "Φ", "Pi": "Π", "ell": "ℓ",
    "nu": "ν", "chi": "χ", "xi": "ξ", "zeta": "ζ", "iota": "ι", "varepsilon": "ε", "Sigma": "Σ", "Gamma": "Γ", "Theta": "Θ", "Omega": "Ω",
    "varphi": "φ", "Lambda": "Λ", "Psi": "Ψ",
}  # fmt: skip
OPERATORS = {
    "le": "≤", "ge": "≥", "leq": "≤", "geq": "≥", "cdot": "·", "times": "×", "sum": "∑", "in": "∈", "infty": "∞", "nabla": "∇", "partial": "∂",
    "|": "‖", "Vert": "‖", "lVert": "‖", "rVert": "‖",
    "sim": "∼", "prime": "′", "to": "→", "neq": "≠", "forall": "∀", "exists": "∃", "{": "{", "}": "}", "lbrace": "{", "rbrace": "}",
    "langle": "⟨", "rangle": "⟩", "lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "notin": "∉", "ne": "≠", "propto": "∝", "prod": "∏",
    "mid": "|", "lvert": "|", "rvert": "|", "int": "∫",
    "pm": "±", "dots": "…", "ldots": "…", "cdots": "⋯", "subset": "⊂", "cup": "∪", "cap": "∩", "circ": "∘", "top": "⊤",
}  # fmt: skip
FUNCTIONS = ("log", "exp", "max", "min", "sup", "inf", "arg", "cos", "sin", "cosh", "det", "Pr")
ACCENTS = {"bar": "¯", "hat": "^", "tilde": "~", "overline": "¯"}
SPACES = {",": "0.17em", ";": "0.28em", ":": "0.22em", " ": "0.25em", "quad": "1em", "!": "0"}
IGNORED = ("textstyle", "displaystyle", "limits", "bigl", "bigr")
_TOKEN = re.compile(r"\\([A-Za-z]+|.)|([0-9]+(?:\.[0-9]+)?)|([A-Za-z])|(\s+)|(.)", re.DOTALL)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [t for t in _tokens(text) if t != ("space", "")]
        self.at = 0

    def peek(self) -> tuple[str, str] | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> tuple[str, str]:
        token = self.peek()
        if token is None:
            raise ValueError(f"LaTeX ends too early: {self.text!r}")
        self.at += 1
        return token

    def row(self, until: tuple[str, str] | None = None) -> str:
        """Everything up to the token `until` (which is taken), as one row."""
        out: list[str] = []
        while (token := self.peek()) is not None and token != until:
            out.append(self.scripted())
        if until is not None:
            if self.peek() is None:
                raise ValueError(f"{until[1]!r} is missing in {self.text!r}")
            self.take()
        return out[0] if len(out) == 1 else f"<mrow>{''.join(out)}</mrow>"

    def scripted(self) -> str:
        """An atom with its scripts."""
        token = self.peek()
        base = self.atom()
        below = above = ""
        while (script := self.peek()) in (("mark", "^"), ("mark", "_"), ("mark", "'")):
            self.take()
            if script == ("mark", "'"):
                above += "<mo>′</mo>"
            elif script == ("mark", "^"):
                above += self.atom()
            else:
                below = self.atom()
        above = f"<mrow>{above}</mrow>" if above.count("<m") > 1 and not above.startswith("<mrow>") else above
        limits = token is not None and token[0] == "command" and token[1] in ("sum", "prod", "max", "min", "sup", "inf")
        if below and above:
            return f"<{'munderover' if limits else 'msubsup'}>{base}{below}{above}</{'munderover' if limits else 'msubsup'}>"
        if below:
            return f"<munder>{base}{below}</munder>" if limits else f"<msub>{base}{below}</msub>"
        return f"<msup>{base}{above}</msup>" if above else base

    def atom(self) -> str:
        kind, text = self.take()
        if kind == "number":
            return f"<mn>{text}</mn>"
        if kind == "letter":
            return f"<mi>{text}</mi>"
        if kind == "mark" and text in "}^_&$#%~":
            raise ValueError(f"{text!r} stands alone in {self.text!r}")
        if kind == "mark":
            return self.row(("mark", "}")) if text == "{" else f"<mo>{html.escape('−' if text == '-' else text)}</mo>"
        return self.command(text)

    def argument(self) -> str:
        """What \\frac takes: a group, a command or one digit; \\tfrac12 is a half."""
        token = self.peek()
        if token is None or token[0] != "number" or len(token[1]) == 1:
            return self.atom()
        self.tokens[self.at] = ("number", token[1][1:])
        return f"<mn>{token[1][0]}</mn>"

    def command(self, name: str) -> str:
        if name in GREEK:
            return f"<mi>{GREEK[name]}</mi>"
        if name in FUNCTIONS:
            return f"<mi>{name}</mi>"
        if name in OPERATORS:
            return f"<mo>{OPERATORS[name]}</mo>"
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"/>'
        if name in IGNORED:
            return ""
        if name in ("frac", "tfrac", "dfrac"):
            return f"<mfrac>{self.argument()}{self.argument()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.atom()}</msqrt>"
        if name == "left":
            opening = self.delimiter()
            inside = self.row(("command", "right"))
            return f'<mrow><mo stretchy="true">{opening}</mo>{inside}<mo stretchy="true">{self.delimiter()}</mo></mrow>'
        if name == "mathbb":
            letter = re.sub(r"<[^>]*>", "", self.atom())
            early = letter in "CHNPQRZ"  # these were in Unicode before the others
            return f"<mi>{unicodedata.lookup(f'DOUBLE-STRUCK CAPITAL {letter}') if early else chr(0x1D538 + ord(letter) - ord('A'))}</mi>"
        if name in ACCENTS:
            return f'<mover accent="true">{self.atom()}<mo>{ACCENTS[name]}</mo></mover>'
        if name in ("text", "mathrm", "operatorname"):
            words = self.raw_group()
            return f"<mtext>{html.escape(words)}</mtext>"
        raise ValueError(f"\\{name} has no MathML here (in {self.text!r})")

    def delimiter(self) -> str:
        _, text = self.take()
        return html.escape({"|": "|"}.get(text, OPERATORS.get(text, text)) if text != "." else "")

    def raw_group(self) -> str:
        if self.take() != ("mark", "{"):
            raise ValueError(f"a group is missing in {self.text!r}")
        words = ""
        while (token := self.take()) != ("mark", "}"):
            words += token[1]
        return words


def _tokens(text: str) -> list[tuple[str, str]]:
    out = []
    for command, number, letter, space, mark in _TOKEN.findall(text):
        if command:
            out.append(("command", command))
        elif number:
            out.append(("number", number))
        elif letter:
            out.append(("letter", letter))
        elif space:
            out.append(("space", ""))
        else:
            out.append(("mark", mark))
    return out


def from_latex(latex: str, display: bool = True) -> str:
    """A `<math>` element; raises ValueError naming what it cannot read."""
    reader = _Reader(latex.replace(r"\left\|", r"\|").replace(r"\right\|", r"\|"))
    body = reader.row()
    mode = ' display="block"' if display else ""
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"{mode} alttext="{html.escape(latex)}">{body}</math>'
