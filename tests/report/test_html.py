"""The chart library is the file that npm distributes, with its licence, and knows the charts that pages draw."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from robonas.report import html
from robonas.report.html import command, marked
from robonas.report.words import amount

VERSION = "4.1.1"
SHA256 = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"


def test_the_library_is_whole_and_of_the_version_that_contributing_speaks_of():
    content = files("robonas.report").joinpath(html.LIBRARY).read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    assert f"plotly.js (basic - minified) v{VERSION}" in html.library()[:200]
    licence = files("robonas.report").joinpath("plotly-basic.LICENSE").read_text(encoding="utf-8")
    assert "MIT" in licence
    assert "Plotly" in licence


def test_sizes_for_people():
    assert [amount(value) for value in (None, 0, 999, 1000, 38_140, 324_576, 1_200_000, 9.9996e6, 3e9)] == [
        "–",
        "0",
        "999",
        "1.00 k",
        "38.1 k",
        "325 k",
        "1.20 M",
        "10.0 M",
        "3.00 G",
    ]


def test_shares_for_people():
    assert [html.percent(share) for share in (None, 0, 1, 0.125)] == ["–", "0 %", "100 %", "12.5 %"]


def test_code_in_a_sentence_is_code_and_nothing_else_is_markup():
    assert marked("a < b; `--confirm 3 & <b>` does it") == "a &lt; b; <code>--confirm 3 &amp; &lt;b&gt;</code> does it"
    assert marked("one ` alone") == "one ` alone"


def test_a_command_is_broken_between_its_words_alone():
    made = command("robonas show a<b")
    assert made == '<span class="word">robonas</span> <span class="word">show</span> <span class="word">a&lt;b</span>'
