"""A corpus of hostile responses: (family, gold, response). No model wrote these; each has broken some grader."""

from __future__ import annotations

from typing import Any

Case = tuple[str, dict[str, Any], str]

CANARY = "harness-hostile-canary"
_PYTHON = (
    "__import__('os').system('touch {canary}')",
    '__import__("os").system("touch {canary}")',
    "eval(compile('open(\"{canary}\",\"w\")','','exec'))",
    'exec(\'open("{canary}","w")\')',
    "(lambda: open('{canary}','w'))()",
    "[open('{canary}','w') for _ in [0]]",
    "().__class__.__base__.__subclasses__()",
    "globals()['__builtins__']['open']('{canary}','w')",
    'sympify(\'open("{canary}","w")\')',
    "\\input{{{canary}}}",
    "\\immediate\\write18{{touch {canary}}}",
    "{{{{ cycler.__init__.__globals__.os.popen('touch {canary}') }}}}",
    "$(touch {canary})",
    "`touch {canary}`",
    "; touch {canary}",
    "!!python/object/apply:os.system ['touch {canary}']",
    "cos\nsystem\n(S'touch {canary}'\ntR.",
)
_TOWERS = (
    "9^{9^{9}}", "9**9**9**9", "10^{10^{10}}", "2^{2^{2^{2^{2^{2}}}}}", "((9^9)^9)^9", "9^9^9^9", "(10^6)!", "99999!",
    "((5!)!)!", "10!!!!", "\\gcd(3^{10^8},6)", "\\binom{10^7}{5\\cdot10^6}", "\\exp(\\exp(\\exp(50)))", "e^{e^{e^{9}}}",
    "\\pi^{\\pi^{\\pi^{\\pi}}}", "\\Gamma(10^8)", "\\zeta(10^6)", "(x+1)^{9999}", "(x+y+z+w)^{500}",
    "\\frac{x^{9999}-1}{x-1}", "10^{9999}", "1e999999999", "0x" + "f" * 300, "\\log_{10}{10^{9999}}", "7 \\bmod 10^{9999}",
    "\\prod_{k=1}^{10^6} k", "\\sum_{n=1}^{\\infty}\\frac{1}{n^2}", "\\int_0^1 e^{x^2} dx", "\\lim_{x\\to0}\\frac{\\sin x}{x}",
    "1/0", "0^{-1}", "\\frac{0}{0}", "\\sqrt{-1}^{\\sqrt{-1}}", "\\infty-\\infty",
)  # fmt: skip
_NESTS = (
    ("(", "1", ")"), ("[", "1", "]"), ("{", "1", "}"), ("\\frac{1}{", "2", "}"), ("\\sqrt{", "2", "}"), ("\\text{", "a", "}"),
    ("\\left(", "1", "\\right)"), ("x_{", "1", "}"), ("x^{", "1", "}"), ("-", "1", ""), ("\\boxed{", "1", "}"), ("|", "1", "|"),
)  # fmt: skip
_LONG = (
    "9" * 1_000_000, "0" * 1_000_000, "1 " * 500_000, "1," * 500_000, "0." + "3" * 5_000, "3" * 60 + "^4444", "1/" + "7" * 59,
    "x" * 5_000, "\\pm" * 50 + "1", "\\det" + "a" * 100, "+".join(f"\\sin({i}x)" for i in range(39)),
    "\\cup".join(["(0,1)"] * 80), "1," * 99 + "1", "\\{" + ",".join(map(str, range(2_000))) + "\\}",
    "\\begin{pmatrix}" + "&".join(["1"] * 200) + "\\end{pmatrix}",
    "\\begin{pmatrix}" + "\\\\".join(["&".join(["x"] * 12)] * 12) + "\\end{pmatrix}",
)  # fmt: skip
_MARKS = (
    "$" * 250_000, "\\boxed{" * 100_000, "####" * 100_000, "answer is " * 50_000, "(" * 10_000, "{" * 200_000, "}" * 200_000,
    "\\" * 100_000, "= " * 100_000, "-" * 100_000, "`" * 100_000, "*" * 100_000, "_" * 100_000, "\n" * 500_000, "\t" * 100_000,
    "answer: " + "9" * 100_000, "The answer is " + "a" * 100_000, "\\(" * 50_000, "\\[" * 50_000, "[1]" * 50_000, "." * 100_000,
)  # fmt: skip
_CHARACTERS = (
    "\x00", "5\x00", "\x00\x01\x02\x03", "\x1b[31m5\x1b[0m", "\x1b]0;title\x07", "\x1b[2J\x1b[H", "\u202e21\u202c", "\u2066 7 \u2069", "\ufeff5",
    "\ud7ff", "\U0010ffff" * 1_000, "e\u0301" * 5_000, "５", "٣", "五", "½", "²", "🧮" * 10_000, "\r\n" * 10_000, "\x7f" * 100,
    "<script>alert(5)</script>", "<img src=x onerror=alert(5)>", "[bold red]5[/]", "[link=file:///etc/passwd]5[/link]", "%s%s%s%n", "{0.__class__}",
)  # fmt: skip
_TAGS = (
    "<think>" * 50_000, "</think>" * 50_000, "`<think>`" * 30_000, "<think>5", "5</think>", "<think></think>", "</think><think>5",
    "<think>5</think>", "<think><think>5</think>", "<think>x</think>5<think>6", "<THINK>5</THINK>6", "<think >5</think >6", "< think>5</ think>6",
    "<|begin_of_thought|>5<|end_of_thought|>6", "<think>\x00</think>5", "<think>" + "wait " * 50_000 + "</think>5",
)  # fmt: skip
# Against the reader of final answers: what each of its patterns would repeat, nest or scan again and again.
_READER = (
    "So " * 8_000 + "5", "therefore, " * 3_000 + "5", "not " * 8_000 + "5", "5 or " * 6_000 + "5", "5 and " * 6_000, "5, " * 8_000, "5 5 " * 8_000,
    "is not the answer " * 2_000, "5 is the answer " * 2_000, "Answer:\n" * 4_000, "**Final Answer**\n\n" * 2_000, "# Answer\n" * 4_000,
    "**" * 10_000 + "5", "**5** " * 5_000, "** 5 **" * 4_000, "__5__" * 4_000, "*5*" * 6_000, "`5`" * 6_000, "$5$ " * 6_000, "$$5$$\n" * 4_000,
    "\\(5\\)" * 4_000, "\\[5\\]\n" * 3_000, "\\[" + "5 " * 9_000 + "\\]", "$" + "x" * 19_000 + "$", "\\begin{align}" * 1_500, "\\begin{align}&=5\\\\" * 1_000,
    "\\end{align}" * 1_500, "```\n" * 5_000, "```python\n" + "x=5\n" * 4_000, "<<5+5=10>>" * 2_000, "<<" * 9_000, "<answer>" * 2_500, "</answer>" * 2_000,
    "| 5 " * 5_000 + "|", "|" * 20_000, "- 5\n" * 5_000, "because " * 2_500 + "5", "since 5, " * 2_500, "(5 apples" * 2_000, "(" * 9_000 + "5 apples" + ")" * 9_000,
    "= 5 " * 5_000, "=5=5" * 4_000, "5 = " * 5_000, "5." * 9_000, "5.5" * 6_000, "5,555" * 4_000, "5/5" * 6_000, "5 5/5 " * 3_000, "5:00 " * 4_000,
    "²" * 19_000, "5²" * 9_000, "½" * 19_000, "√" * 19_000, "√5" * 9_000, "√(" * 9_000, "∞" * 19_000, "−" * 19_000, "\ufdfa" * 19_000, "５" * 19_000, "答案是" * 6_000,
    "\\text{" * 2_500 + "5" + "}" * 2_500, "\\textbf{\\text{" * 1_200 + "5", "\\frac" * 3_000, "\\frac12" * 2_500, "\\frac{1}" * 2_000, "\\sqrt" * 3_000, "\\sqrt[3]" * 2_000,
    "\\color{red}" * 1_500, "\\textcolor{red}{" * 1_000, "\\overline{3}" * 1_500, "0.\\overline{" + "3" * 900 + "}", "5e" * 9_000, "5e5" * 6_000, "\\times 10^{5}" * 1_500,
    "million " * 2_500, "5 million " * 2_000, "dozen" * 4_000, "twenty-" * 2_500, "-5" * 9_000, "minus " * 3_000 + "5", "$-" * 9_000, "x=" * 9_000 + "5", "\\pm 5" * 3_000,
    "(5,5)" * 4_000, "[5,5)" * 4_000, "\\{5," * 4_000, "5\\cup " * 3_000, "x<5 or " * 2_500, "x \\ne 5, " * 2_000, "for all x " * 2_000, "\\\\[4pt]" * 2_500, "(A) (B) " * 2_500,
    "option A " * 2_000, "\\boxed{5" * 2_000, "\\boxed{" + "{" * 9_000, "\\boxed{5}" * 2_000, "Mr. " * 5_000 + "5", "e.g. 5. " * 2_500, "!" * 19_000, "5! " * 6_000, "; " * 9_000 + "5",
    "ist die Antwort 5,5 " * 1_000, "\n".join(["So 5"] * 4_000), "So " + "5 apples in " * 1_500, "So " + "than 5 " * 2_500, "-e" * 9_000, "\x00" * 19_000 + "5",
)  # fmt: skip
_REGEX: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("detectable_content:number_placeholders", {"num_placeholders": 3}, "[" * 20_000),
    ("detectable_format:title", {}, "<<" * 20_000),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "\n" * 20_000 + "x"),
    ("detectable_format:json_format", {}, "[" * 100_000),
    ("detectable_format:json_format", {}, '{"a":' * 20_000),
    ("keywords:existence", {"keywords": ["(a+)+$"]}, "a" * 40 + "b"),
    ("keywords:forbidden_words", {"forbidden_words": ["(x+x+)+y"]}, "x" * 60),
    ("keywords:existence", {"keywords": ["["]}, "a"),
    ("language:response_language", {"language": "en"}, "你" * 100_000),
    ("language:response_language", {"language": "xx"}, "hello there"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "word " * 40_000),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "w" * 300_000),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*" * 20_001),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "*" * 100_000),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 3}, "Section" * 20_000),
    ("punctuation:no_comma", {}, "," * 150_000),
    ("startend:quotation", {}, '"' * 100_000),
    ("startend:end_checker", {"end_phrase": "x" * 10_000}, "x" * 150_000),
    ("no:such_kind", {}, "hello"),
    ("change_case:english_capital", {}, "A" * 150_000),
)
_PLANS = (
    "(pick-up a)" * 100_000, "unstack " * 200_000, "pick up the " * 100_000, "[plan]" * 100_000, "1. " * 100_000,
    "\n".join(["pick up the red block"] * 100_000), "unstack the red block from on top of " * 50_000, "(((((" * 50_000,
    "(pick-up " + "a " * 100_000 + ")", "pick-up(" + "a," * 100_000 + ")", "\n".join(f"{i}. pick up the red block" for i in range(999)),
    "[statement]" * 50_000, "stack the red block on top of the red block", "(" + "a" * 100_000 + " b)", "pick up the \x00 block",
)  # fmt: skip


def corpus() -> list[Case]:
    """Over 500 cases for every kind of grader."""
    symbolic: dict[str, Any] = {"answer": "\\frac{\\pi}{2}"}
    number: dict[str, Any] = {"answer": "5"}
    blocks: dict[str, Any] = {"init": [["orange", "blue"], ["red"]], "goal": [["orange", "red"]]}
    out: list[Case] = []
    answers = [text.format(canary=CANARY) for text in _PYTHON]
    answers += [*_TOWERS, *_LONG, *(a * depth + b + c * depth for a, b, c in _NESTS for depth in (50, 10_000))]
    for answer in answers:
        out.append(("math500", symbolic, f"\\boxed{{{answer}}}"))
        out.append(("gsm8k", number, f"The answer is {answer}"))
    for text in (*_MARKS, *_CHARACTERS, *_TAGS):
        out += [("math500", symbolic, text), ("gsm8k", number, text)]
    for text in _READER:
        out += [("math500", symbolic, text), ("gsm8k", number, text)]
    for name, arguments, text in _REGEX:
        gold = {"instruction_id_list": [name], "kwargs": [arguments], "prompt": "x"}
        out.append(("ifeval", gold, text))
    out += [("blocksworld", blocks, text) for text in _PLANS]
    return out
