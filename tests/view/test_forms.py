"""Every form of output: hostile text stays text, whole values get through, a form more is a file more."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results import board as boards
from harness.view import board, render
from harness.view.page import Branch, Figure, Line, Page, Section, Series, Table, Text, binned, colour
from harness.view.render import csv as csv_form
from harness.view.render import html, latex, markdown, picture, svg, terminal
from harness.view.render.labels import places
from harness.view.text import clean, one_line

ROOT = Path(__file__).parents[2]
PIECES = [
    "<script>alert(1)</script>", "| x |", "[l](javascript:alert(1))", "![i](//evil.example)", "\x1b]0;t\x07", "\x9b31m",
    "\u202eabc", "\r\n::error::x", "=1+2", "+cmd", "-7", "@x", "`a`", "```", "\\end{table}", "}{", "%", "$x^2_1$", "#",
    "*b*", "_i_", "~~s~~", "&lt;", '"', "'", "\\", "||", "- item", "1. item", "---", "[r]: //evil.example", "a_b", "好",
    "[14…20]", "\t", "</pre>", "-->",
]  # fmt: skip
hostile = st.one_of(st.lists(st.sampled_from(PIECES), max_size=4).map(" ".join), st.text(max_size=30))


def page_of(one: str, other: str) -> Page:
    table = Table(
        columns=(one, "b", "c"), title=other, notes=[one], legend=[other],
        rows=[[one, [Line(text=other, strong=one, short=one), Line(text=one)], "0.5"], [one, other, one]],
    )  # fmt: skip
    counts = Figure(
        name=one, title=one, x=other, y=one, bins=9, kinds=(one, other),
        series=[Series(label=one, y=[1, 2], second=[0, 1], note=other)],
    )  # fmt: skip
    curve = Figure(name=one, title=other, x=one, y=other, kinds=(other, one),
                   series=[Series(label=other, x=[1, 2], y=[0.1, 0.4], second=[0.2, 0.5], note=one)])  # fmt: skip
    lines = replace(curve, lines=True)
    spots = [Series(label=name, x=[2], y=[0.4], low=[0.1], high=[0.7], note=other, beaten=name == one)
             for name in (one, other)]  # fmt: skip
    points = Figure(name=other, title=one, x=one, y=other, series=spots, points=True)
    tree = Branch(spans=[(one, "strong"), (other, "")], children=[Branch(spans=[(other, "")])])
    texts = [Text(text=one), Text(text=other, verbatim=True)]
    return Page(
        title=one, blocks=[*texts, table, Section(title=one, blocks=[tree, counts, curve, lines, points], folded=True)]
    )


@given(hostile, hostile)
def test_no_control_character_reaches_a_terminal(one, other):
    shown = terminal.text(page_of(one, other), 80)
    assert all(c.isprintable() or c == "\n" for c in shown.replace("\t", " "))
    assert render.forms()["table"].render(page_of(one, other)) == shown


@given(hostile, hostile)
def test_html_has_the_tags_of_the_layout_alone(one, other):
    def parsed(page):
        found = []

        class Reader(HTMLParser):
            def handle_starttag(self, tag, attrs):
                found.append((tag, tuple(name for name, _ in attrs)))

            def handle_comment(self, data):
                found.append(("comment", ()))

        Reader().feed(html.render(page))
        return found

    one, other = f"x{one}", f"y{other}"
    assert parsed(page_of(one, other)) == parsed(page_of("x", "y"))


@given(hostile, hostile)
def test_a_markdown_table_keeps_its_columns_and_holds_no_tag_or_link(one, other):
    text = markdown.table(page_of(one, other).tables()[0])
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    inside = text.replace("<br>", "/")
    assert "<" not in inside
    assert not re.search(r"\]\s*[(\[:]", inside)
    assert "`" not in inside


@given(hostile)
def test_a_markdown_line_opens_nothing(text):
    shown = markdown.line(text)
    assert "\n" not in shown
    assert not re.match(r"(#|>|[-+*]\s|\d+[.)]|```|~~~|---|===|\||    |\[.*\]:)", shown)


@given(hostile)
def test_a_fence_cannot_be_closed_from_inside(text):
    first, *_, last = markdown.fenced(text).split("\n")
    assert first == last
    assert first not in clean(text, lines=True)


@given(hostile, hostile)
def test_csv_comes_back_and_holds_no_formula(one, other):
    records = [{"a": one, "b": {"c": other, "d": -0.5}}, {"a": "x", "e": 3}]
    table = Table(columns=["a"], rows=[], records=records)
    rows = list(csv.DictReader(io.StringIO(csv_form.table(table))))
    assert [row["a"].removeprefix("'") for row in rows] == [clean(one).removeprefix("'"), "x"]
    assert (rows[0]["b.d"], rows[1]["e"], rows[1]["b.d"]) == ("-0.5", "3", "")
    for row in rows:
        for value in (row["a"], row["b.c"]):
            assert not re.match(r"\s*[=+\-@]", value) or re.match(r"\s*[-+]?[\d.]", value)


@given(hostile, hostile)
def test_latex_is_balanced_and_every_row_has_its_cells(one, other):
    text = latex.table(page_of(one, other).tables()[0])
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", text.replace("\\\\", "")):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    inner = re.sub(r"\\begin\{tabular\}\[t\].*?\\end\{tabular\}", "x", text)
    rows = [line for line in inner.split("\n") if line.endswith(r" \\")]
    assert len(rows) == 3
    assert all(len(re.findall(r"(?<!\\)&", row)) == 2 for row in rows)
    assert not re.search(r"(?<!\\)[%#]", text)
    assert not re.search(r"\\\\\s*[\[*]", text), "a mark that belongs to the end of the row before"


def test_the_board_says_in_every_form_what_was_measured():
    made = boards.of_file(ROOT / "results" / "ablation_full.tiny.json")
    page = board.page(made)
    kept = (ROOT / "results" / "ablation_full.tiny.md").read_text().partition("## Arms, greedy")[0]
    for arm, *cells in (line.strip("| ").split(" | ") for line in kept.splitlines() if "…" in line):
        for cell, task in zip(cells, made.tasks, strict=True):
            accuracy, low, high = re.match(r"\*\*(.*?)\*\* [(\[](\d+)…(\d+)", cell).groups()
            shown = next(r for r in page.tables()[0].rows if r[0][0].text == arm.partition(" (")[0].partition("<")[0])
            first = shown[1 + made.tasks.index(task)][0]
            assert first.plain(narrow=True).startswith(f"{accuracy} [{low}…{high}] |")
    forms = {name: form.render(page) for name, form in render.forms().items()}
    assert set(forms) == {"table", "md", "csv", "json", "html", "latex"}
    for name in ("table", "md", "html"):
        assert "Δ -33.4 [-36…-31]*" in forms[name].replace("&#42;", "*")
    assert r"$\Delta$ $-$33.4 {[}$-$36\,\ldots\,$-$31{]}{*}" in forms["latex"]
    rows = list(csv.DictReader(io.StringIO(forms["csv"])))
    data = json.loads(forms["json"])
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in data["rows"]]
    assert [row["arm"].removeprefix("'") for row in rows] == [row["arm"] for row in data["rows"]]
    assert max(map(len, terminal.text(page, 80).splitlines())) <= 80
    assert len(terminal.text(page, 40).splitlines()) > len(terminal.text(page, 80).splitlines())


def test_tables_too_wide_go_on_beneath_with_every_cell():
    names = [f"column_{i}" for i in range(30)]
    table = Table(columns=["arm", *names], rows=[["sft", *(f"v{i}" for i in range(30))]])
    for width in (30, 80, 120):
        shown = terminal.text(Page(blocks=[table]), width)
        assert max(map(len, shown.splitlines())) <= width
        assert set(names) | {f"v{i}" for i in range(30)} <= set(shown.split())


def test_another_form_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text("FORM = 'toy'\n\ndef render(page):\n    return f'toy of {page.title}'\n")
    monkeypatch.setattr(render, "__path__", [*render.__path__, str(tmp_path)])
    assert render.forms()["toy"].render(page_of("T", "")) == "toy of T"
    assert len(render.forms()) == 7


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_figures_as_files_by_their_suffix(suffix, magic, tmp_path):
    page = page_of("$a_$ <b>", "y%")
    kept = [path.read_bytes() for path in picture.save_all(page, tmp_path / f"plot{suffix}")]
    assert len(kept) == 4
    assert all(data.startswith(magic) for data in kept)
    again = [path.read_bytes() for path in picture.save_all(page, tmp_path / f"again{suffix}")]
    assert again == kept


@pytest.mark.parametrize("lines", [False, True])
def test_a_legend_names_every_line_in_its_own_colour(lines):
    from matplotlib.figure import Figure as Canvas

    series = [
        Series(label=name, x=[0, 1], y=[0.1, 0.4], low=[0, 0.3], high=[0.2, 0.5], second=[0.2, 0.5]) for name in "ab"
    ]
    canvas = Canvas()
    picture._curves(canvas, Figure(name="f", title="f", x="x", y="y", series=series, lines=lines))
    legend = canvas.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()] == [
        (colour(0), "-"), (colour(1), "-"),
    ]  # fmt: skip


def test_points_are_labelled_hollow_where_beaten_and_the_others_are_joined(tmp_path):
    figure = Figure(
        name="f", title="f", x="tokens", y="accuracy", points=True,
        series=[
            Series(label="cheap", x=[10], y=[0.2], note="50 per correct"),
            Series(label="beaten", x=[50], y=[0.3], low=[0.2], high=[0.4], note="167 per correct", beaten=True),
            Series(label="good", x=[40], y=[0.6], note="67 per correct"),
        ],
    )  # fmt: skip
    assert figure.front() == [(10, 0.2), (40, 0.6)]
    page = Page(blocks=[figure])
    drawn = svg.draw(figure)
    assert [fill == "Canvas" for fill in re.findall(r'<circle [^>]*fill="([^"]*)"', drawn)] == [False, True, False]
    assert {"cheap", "beaten", "good"} <= set(re.findall(r">([^<>]+)</text>", drawn))
    [joined] = re.findall(r'<polyline points="([^"]*)"', drawn)
    circles = re.findall(r'<circle cx="([^"]*)" cy="([^"]*)"', drawn)
    assert joined.split() == [",".join(circles[0]), ",".join(circles[2])]
    head, *shown = [line.split() for line in terminal.text(page, 80).splitlines()]
    assert " ".join(head) == "f: accuracy % [95%] by tokens; * beaten by none"
    assert shown == [
        ["cheap", "*", "10:", "20.0", "50", "per", "correct"],
        ["beaten", "50:", "30.0", "[20…40]", "167", "per", "correct"],
        ["good", "*", "40:", "60.0", "67", "per", "correct"],
    ]
    assert "".join(terminal.drawn(figure)) in "".join(markdown.render(page).splitlines())


SPOTS = st.lists(st.tuples(st.floats(0, 400), st.floats(0, 250), st.floats(10, 150)), min_size=1, max_size=3)


@given(SPOTS)
def test_labels_stand_inside_the_picture_and_cover_nothing_while_there_is_room(spots):
    inside = (0, 0, 400, 250)
    at = places([(x, y) for x, y, _ in spots], [wide for *_, wide in spots], 12, inside)
    boxes = [(left, middle - 6, left + wide, middle + 6) for (left, middle), (*_, wide) in zip(at, spots, strict=True)]
    for a, b in itertools.combinations(boxes, 2):
        assert min(a[2], b[2]) <= max(a[0], b[0]) + 1e-6 or min(a[3], b[3]) <= max(a[1], b[1]) + 1e-6
    assert all(box[0] >= 0 and box[1] >= 0 and box[2] <= 400 and box[3] <= 250 for box in boxes)


def test_bins_count_every_value():
    assert binned([0, 1, 49, 50, 99, 100], 100, 2) == [3, 3]
    assert binned([0], 0, 3) == [1, 0, 0]


def test_long_text_is_shortened_and_of_one_line():
    assert one_line("a\nb\x1b[0m " + "x" * 500, 20) == "a b [0m xxxxxxxxxxx…"
