"""One spelling of what Unicode, LaTeX and plain text write in several ways; all is read and compared in it.

``plain`` is the only place that knows superscripts, vulgar fractions, root signs, full-width digits, upright letters,
styles and colours. Its result is LaTeX again, and stays the same when it is given to ``plain`` once more.
"""

from __future__ import annotations

import re
import unicodedata

# Letters that stand upright as a unit behind a number; any other upright letter is a symbol, as e, i, n or x.
UNIT_LETTERS = "mgshlLNJWVACFKd"
FUNCTIONS = (
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp",
    "max", "min", "gcd", "lcm", "det",
)  # fmt: skip

# Words that multiply a number, in the languages of MGSM.
SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "百": 100, "千": 1000, "万": 10**4, "億": 10**8, "亿": 10**8,
    "tausend": 1000, "millionen": 10**6, "mil": 1000, "millón": 10**6, "millones": 10**6, "mille": 1000,
    "тыс": 1000, "тысяча": 1000, "тысячи": 1000, "тысяч": 1000, "миллион": 10**6, "миллиона": 10**6,
    "миллионов": 10**6, "হাজার": 1000, "লাখ": 10**5, "লক্ষ": 10**5, "কোটি": 10**7, "వేలు": 1000, "వేల": 1000,
    "లక్షలు": 10**5, "లక్షల": 10**5, "లక్ష": 10**5, "కోట్లు": 10**7, "కోట్ల": 10**7, "కోటి": 10**7, "พัน": 1000,
    "หมื่น": 10**4, "แสน": 10**5, "ล้าน": 10**6, "elfu": 1000, "laki": 10**5, "milioni": 10**6,
}  # fmt: skip
SCALE = "|".join(sorted(SCALES, key=len, reverse=True))

_RAISED = {"⁰": "0", "¹": "1", "²": "2", "³": "3", "⁺": "+", "⁻": "-", "⁽": "(", "⁾": ")", "ⁿ": "n", "ⁱ": "i",
           **{chr(0x2070 + n): str(n) for n in range(4, 10)}}  # fmt: skip
_LOWERED = {**{chr(0x2080 + n): str(n) for n in range(10)}, "₊": "+", "₋": "-", "₍": "(", "₎": ")"}
_SIGNS = {
    "∞": "\\infty", "π": "\\pi", "θ": "\\theta", "α": "\\alpha", "β": "\\beta", "λ": "\\lambda", "ω": "\\omega",
    "≤": "\\le", "⩽": "\\le", "≥": "\\ge", "⩾": "\\ge", "≠": "\\ne", "≈": "\\approx", "∈": "\\in", "∪": "\\cup",
    "∩": "\\cap", "±": "\\pm", "∓": "\\mp", "×": "\\times", "·": "\\cdot", "⋅": "\\cdot", "÷": "\\div",
    "∅": "\\emptyset",
    "∖": "\\setminus",
    "°": "^\\circ", "º": "^\\circ", "˚": "^\\circ",
}  # fmt: skip
_DASHES = str.maketrans(
    dict.fromkeys("−–‐‑‒﹣－", "-") | {"，": ", ", "、": ", ", "\u00a0": " ", "\u2009": " ", "\u202f": " "}
)
_SETS = str.maketrans(
    {"ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}", "ℚ": "\\mathbb{Q}", "ℂ": "\\mathbb{C}"}
)
_ROOTS = {"√": "\\sqrt", "∛": "\\sqrt[3]", "∜": "\\sqrt[4]"}
_VULGAR = re.compile("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒]")
_SLASHED = re.compile(r"(\d{1,9})⁄(\d{1,9})")
_ROOT = re.compile(r"([√∛∜])\s*(?:\(([^()]{1,200})\)|\{([^{}]{1,200})\}|(\d+(?:\.\d+)?|[A-Za-z]|\\pi)|)")
_PIECES = {
    chars: re.compile(f"[{''.join(map(re.escape, chars))}]+") for chars in map("".join, (_RAISED, _LOWERED, _SIGNS))
}  # fmt: skip

_SPACES = re.compile(r"(?<!\\)\\[,;: ](?![a-z]{3})|(?<!\\)\\ |\\q?quad(?![a-z])|~")
_NOTHING = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|scriptstyle|limits|[bB]igg?[lrm]?|tiny|small|normalsize|large|Large|LARGE|huge"
    r"|Huge|boldmath|centering|hline|bf|rm|it|color\s*\{[^{}]*\}|tag\*?\s*\{[^{}]*\}|label\s*\{[^{}]*\})(?![a-zA-Z])\s?"
)
_ALIASES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge",
    "neq": "ne", "lt": "<", "gt": ">", "lbrace": "{", "rbrace": "}", "lvert": "|", "rvert": "|", "vert": "|",
    "lVert": "|", "rVert": "|", "Vert": "|", "lbrack": "[", "rbrack": "]", "degree": "^\\circ", "dots": "ldots",
    "colon": ":", "infin": "infty", "varnothing": "emptyset", "cdotp": "cdot",
}  # fmt: skip
_ALIAS = re.compile(rf"\\({'|'.join(sorted(_ALIASES, key=len, reverse=True))})(?![a-zA-Z])")
_ROWS = re.compile(r"\\\\\s*(?:\*|\[\s*-?[\d.]+\s*(?:pt|mm|cm|em|ex)\s*\])\s*")
_SMALL = re.compile(r"(\\(?:begin|end)\{)(?:small|b|B)?matrix\}")
_COLOURED = re.compile(r"\\(?:textcolor|colorbox)\s*\{[^{}]*\}\s*\{([^{}]*)\}")
_UPRIGHT = re.compile(
    r"(\\(?:text|mathrm|textbf|mathbf|textit|mathit|textrm|texttt|mathtt|textsf|mathsf|textnormal|boldsymbol|bm|mbox"
    r"|operatorname\*?|emph|underline)\s*)\{([^{}]*)\}"
)
_FONT = re.compile(
    r"\\(?:mathbf|mathrm|mathit|mathsf|boldsymbol|bm|underline|text|textbf|mbox)\s*(?=\{)"
)  # around a formula
_BEHIND_NUMBER = re.compile(r"[\d}\ue001]\s*(?:/|\\cdot)?\s*$|\d\s*\\[,;: ]?\s*$")
_FRACTION = re.compile(
    r"\\frac\s*(?:\{([^{}]*)\}\s*(\d|[A-Za-z])(?![A-Za-z{])|(\d)\s*(?:(\d)|\{([^{}]*)\})|([A-Za-z]) ?([A-Za-z\d]))"
)
_ROOT_OF_ONE = re.compile(r"\\sqrt\s*(\[[^\[\]]{1,9}\])?\s*(\d|(?:[A-Za-z]|\\pi)(?![A-Za-z]))")
_PLAIN_ROOT = re.compile(r"(?<![A-Za-z\\])sqrt\s*\(([^()]{1,200})\)")
_PLAIN_FUNCTION = re.compile(r"(?<![A-Za-z\\])(exp|sin|cos|tan|ln|log)(?=\()")
_PLAIN_PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")
_E_NOTATION = re.compile(r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?)0{0,3}(\d{1,3})(?![\w.]\w|\w)")
_OPEN, _CLOSE = "\ue000", "\ue001"  # around text while it is read; private characters of the input are dropped
_NESTED = 8
_SCALED = re.compile(r"\b(elfu|laki|milioni) (\d[\d,.]*)(?<![,.])", re.IGNORECASE)  # Swahili: "elfu 70"
_MYRIADS = re.compile(r"(?<![\d.,])(\d{1,9})[万萬](?=\d)(?:(\d)千)?(\d{1,4})?(?!\d)")  # 1万8000, 7万5千
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")


def plain(text: str) -> str:
    """``text`` in one spelling; LaTeX stays LaTeX, words and line breaks stay where they are. Linear in the length."""
    return _SCALED.sub(r"\2 \1", _commands(_characters(text)))


def ascii_digits(text: str) -> str:
    """The text, as long as before, with the digits of all scripts (Bengali, Thai, wide ones) as 0 to 9."""
    return text if text.isascii() else _OTHER_DIGIT.sub(lambda m: str(unicodedata.decimal(m.group())), text)


def _characters(text: str) -> str:
    """LaTeX for Unicode's mathematical characters, ASCII for their wide and bold forms."""
    if text.isascii():
        return text
    out = re.sub("(?<=[０-９])，(?=[０-９]{3})", ",", re.sub("[\ue000-\uf8ff]", "", text)).translate(_DASHES)
    for raised, chars in ((True, _RAISED), (False, _LOWERED)):
        mark = "^" if raised else "_"
        out = _PIECES["".join(chars)].sub(lambda m, c=chars, k=mark: f"{k}{{{''.join(c[x] for x in m.group())}}}", out)  # type: ignore[misc]
    out = _VULGAR.sub(lambda m: " " * _digit_before(m) + unicodedata.normalize("NFKC", m.group()), out)
    out = out.replace("º", "°").replace("…", "...").translate(_SETS)
    out = ascii_digits(unicodedata.normalize("NFKC", out).translate(_DASHES))
    out = _MYRIADS.sub(lambda m: str(int(m[1]) * 10**4 + int(m[2] or 0) * 1000 + int(m[3] or 0)), out)
    out = _SLASHED.sub(r"\\frac{\1}{\2}", out)
    out = _PIECES["".join(_SIGNS)].sub(lambda m: "".join(_SIGNS[char] + " " for char in m.group()), out)
    return _ROOT.sub(_root, out)


def _root(match: re.Match[str]) -> str:
    inside = match[2] or match[3] or match[4] or ""
    return f"{_ROOTS[match[1]]}{{{_ROOT.sub(_root, inside)}}}"


def _digit_before(match: re.Match[str]) -> bool:
    return match.start() > 0 and match.string[match.start() - 1].isdigit()


def _commands(text: str) -> str:
    """One LaTeX command for each thing; upright letters, styles and colours read or gone."""
    out = text
    if "\\" in out:
        out = re.sub(r",\\!\s*", ",", out).replace("\\!", "")
        out = _ROWS.sub(r"\\\\ ", out)
        out = _NOTHING.sub("", out)
        out = _SMALL.sub(r"\1pmatrix}", out)
        out = _ALIAS.sub(_alias, out)
        out = _SPACES.sub(" ", out)
        out = _upright(out)
        out = re.sub(r"\\%", "%", out).replace("{:}", ":")
        out = re.sub(r"\^\s*\{\s*\\circ\s*\}", r"^\\circ ", out)
        out = re.sub(r"\\dot\{(\d)\}|\\overline\s*(\d)", r"\\overline{\1\2}", out)
        for _ in range(3):
            out = _FRACTION.sub(_braced, out)
        out = _ROOT_OF_ONE.sub(r"\\sqrt\1{\2}", out)
    out = _PLAIN_ROOT.sub(r"\\sqrt{\1}", out)
    out = _PLAIN_FUNCTION.sub(r"\\\1", out)
    out = _PLAIN_PI.sub(r"\\pi ", out)
    return _E_NOTATION.sub(r"\1\\times 10^{\2\3}", out)


def _alias(match: re.Match[str]) -> str:
    name = _ALIASES[match[1]]
    return name if name[0] in "<>|[]:^" else "\\" + name


def _braced(match: re.Match[str]) -> str:
    over = next(part for part in (match[1], match[3], match[6]) if part is not None)
    under = next(part for part in (match[2], match[4], match[5], match[7]) if part is not None)
    return f"\\frac{{{over}}}{{{under}}}"


def _upright(text: str) -> str:
    """Functions by their command, single letters bare unless they are units, numbers bare, other words as \\text{}."""
    out = text
    for _ in range(_NESTED):
        before = out
        out = _UPRIGHT.sub(_read, _COLOURED.sub(r"\1", out))
        if out == before:
            break
    return _FONT.sub("", out).replace(_OPEN, "\\text{").replace(_CLOSE, "}")


def _read(match: re.Match[str]) -> str:
    inside = match[2].replace(_OPEN, "").replace(_CLOSE, "")
    bare = inside.strip()
    behind = _BEHIND_NUMBER.search(match.string[max(0, match.start() - 12) : match.start()])
    if bare in FUNCTIONS and not (behind and bare in ("min", "sec")):
        return f"\\{bare} "
    if len(bare) == 1 and bare.isascii() and bare.isalpha():
        return f"{_OPEN}{bare}{_CLOSE}" if behind and bare in UNIT_LETTERS else f" {bare}" if inside[0] == " " else bare
    worded = re.search(r"[^\W\d_]{2}|[^\W\d_] [^\W\d_]", bare) and not re.search(r"\\[a-z]", bare)
    return f"{_OPEN}{inside}{_CLOSE}" if worded else inside
