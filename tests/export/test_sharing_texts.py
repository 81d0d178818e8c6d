"""The pure texts of open sharing: the card as HTML, citations, terms, licences, the category tree."""

from __future__ import annotations

import json
import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.card.datasheet import plain
from export.sharing.category_tree import Row, Tree
from export.sharing.citation import Cited, bibtex, cff
from export.sharing.licences import short_name
from export.sharing.markdown import render
from export.sharing.terms import BadTerms, clean_asks, clean_text, default_terms, terms_sha256

CITED = Cited(
    name="birds_2",
    title="50% of {birds} & co_\\x",
    version="1.2.0",
    fingerprint="f" * 64,
    year=2026,
    date="2026-11-21",
    url="https://example.org/releases/birds_2/1.2.0/",
)


def test_a_card_becomes_html():
    html = render(
        "---\nlicense: other\n---\n# Title\n\nOne\ntwo `a<b`.\n\n## Head\n- x\n  y\n- **z**\n\n"
        '1. first\n\n```python\nprint("<")\n```\n\n| a | b |\n|---|---:|\n| 1\\|2 | 3 |\n'
    )
    assert html.splitlines()[0] == "<p>One two <code>a&lt;b</code>.</p>"
    assert "<h2>Head</h2>\n<ul><li>x y</li><li><strong>z</strong></li></ul>" in html
    assert "<ol><li>first</li></ol>" in html
    assert "<pre><code>print(&quot;&lt;&quot;)</code></pre>" in html
    assert '<td>1|2</td><td class="num">3</td>' in html
    assert "license" not in html
    assert "Title" not in html
    quoted = render("# T\nSaid:\n> Look <b>\n>\n> `twice`.\nThen.")
    assert quoted.split("\n")[1:] == [
        "<blockquote><p>Look &lt;b&gt;<br><br><code>twice</code>.</p></blockquote>",
        "<p>Then.</p>",
    ]


MARKUP = st.text(alphabet="<>&\"'`*_[]()!|-#\n ab1.:/\\\ue000\ue001", max_size=60)


@given(MARKUP)
def test_a_name_in_a_card_is_read_as_it_stands(name):
    said = " ".join(name.split()).replace("\ue000", "").replace("\ue001", "")
    assert render(f"x {plain(name)}") == f"<p>{escape(f'x {said}'.strip(), quote=False)}</p>"
    row = render(f"| a | b |\n|---|---|\n| {plain(name)} | 2 |")
    assert f"<td>{escape(said.strip(), quote=False)}</td><td>2</td>" in row


def test_links_lead_to_the_web_only_and_figures_where_the_page_says():
    html = render(
        "[a](https://e.org/?x=1&y=2) [b](javascript:alert(1)) ![c](figures/c.svg) ![d](../secret.png)",
        lambda path: "/f" if path == "figures/c.svg" else "",
    )
    assert '<a href="https://e.org/?x=1&amp;y=2" rel="nofollow noopener">a</a>' in html
    assert '<img src="/f" alt="c" loading="lazy">' in html
    assert "secret" not in html
    assert 'alt="&quot; onerror=&quot;x"' in render('x ![" onerror="x](f.svg)', lambda path: "/f")
    assert html.count("<a ") == 1


TAG = re.compile(
    r"</?(?:p|ul|ol|li|h[2-6]|pre|code|strong|em|div|table|thead|tbody|tr|blockquote)>"
    r"|<(?:th|td)(?: scope=\"col\")?(?: class=\"num\")?>|</(?:th|td)>"
    r"|<br>|<div class=\"scroll\">|<table class=\"data\">"
    r"|<a href=\"https?://[^\"<>]*\" rel=\"nofollow noopener\">|</a>"
)


@given(MARKUP)
def test_no_text_gets_out_of_the_html(text):
    left = TAG.sub("", render(f"x\n{text}"))
    assert "<" not in left
    assert ">" not in left


def test_bibtex_escapes_what_tex_would_read_as_markup():
    text = bibtex(CITED)
    assert text.startswith("@misc{birds-2-1-2-0,\n")
    assert r"title = {{50\% of \{birds\} \& co\_\textbackslash{}x}}," in text
    assert "author = {{The makers of 50" in text
    assert f"fingerprint sha256:{'f' * 64}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_authors_are_named_where_they_are_known():
    cited = Cited(**{**CITED.__dict__, "authors": 'A. Ngo and B. "Bo" Ruiz'})
    assert 'author = {A. Ngo and B. "Bo" Ruiz},' in bibtex(cited)
    assert '  - name: "A. Ngo"\n  - name: "B. \\"Bo\\" Ruiz"\n' in cff(cited)


def test_cff_values_are_one_yaml_string_each():
    for line in cff(Cited(**{**CITED.__dict__, "title": 'x: "y"\n- z'})).splitlines():
        if line.startswith("title: "):
            assert json.loads(line.removeprefix("title: ")) == 'x: "y" - z'
            break
    else:
        raise AssertionError("no title")


def test_equal_terms_have_equal_hashes_and_the_questions_count():
    text = clean_text("  Be kind. \r\nCite us.\r\n")
    assert text == "Be kind.\nCite us."
    assert terms_sha256(text, []) != terms_sha256(text, ["name"])
    assert clean_asks(["purpose", " name", ""]) == ["name", "purpose"]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 50_000, "a\x00b"])
def test_terms_that_nobody_could_read_are_refused(text):
    with pytest.raises(BadTerms):
        clean_text(text)


def test_terms_ask_only_for_what_the_page_has_a_field_for():
    with pytest.raises(BadTerms, match="'age'"):
        clean_asks(["age"])


def test_the_usual_terms_name_the_licence_or_say_that_there_is_none():
    assert "licensed under CC0-1.0" in default_terms("Birds", "CC0-1.0")
    assert "No licence has been named" in default_terms("Birds", "")


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC BY-SA 4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0 1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "Public Domain Mark 1.0"),
        ("CC BY 4.0", "CC BY 4.0"),
        (
            "https://example.org/creativecommons.org/licenses/by/4.0",
            "https://example.org/creativecommons.org/licenses/by/4.0",
        ),
        ("", ""),
    ],
)
def test_licences_have_short_names(licence, name):
    assert short_name(licence) == name


def test_a_tree_counts_what_is_below_and_leaves_out_what_is_empty():
    rows = [
        Row("animal", "Animal", "", ""),
        Row("bird", "Bird", "", "animal"),
        Row("owl", "Owl", "", "bird"),
        Row("wren", "Wren", "", "bird"),
        Row("fish", "Fish", "", "animal"),
        Row("car", "Car", "", "no such parent"),
    ]
    tree = Tree(rows, {"owl": 3, "wren": 4, "bird": 1, "car": 2})
    assert [(n.row.key, n.total) for n in tree.roots] == [("animal", 8), ("car", 2)]
    assert "fish" not in tree.nodes
    assert [n.row.key for n in tree.nodes["owl"].path] == ["animal", "bird"]
    assert [n.row.key for n in tree.nodes["animal"].classes()] == ["bird", "wren", "owl"]
    assert len(tree.classes()) == 4


def test_a_circle_of_parents_does_not_hang():
    tree = Tree([Row("a", "A", "", "b"), Row("b", "B", "", "a"), Row("c", "C", "", "c")], {"a": 1, "c": 1})
    assert sum(node.total for node in tree.roots) == 2
