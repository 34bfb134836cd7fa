"""Lines on a terminal are folded by cells and lose nothing; what is to be copied stays whole."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from kopal.cli.folding import fold
from kopal.cli.output import columns, cut, paragraph, say, say_json, say_whole


def test_paragraphs_break_between_words_and_names_are_cut_to_a_width(terminal: Callable[[int], None]) -> None:
    assert paragraph("word " * 40) == "word " * 40
    terminal(60)
    text = "note: " + "word " * 40 + "a" * 70 + " https://" + "b" * 70
    lines = paragraph(text, 6).split("\n")
    assert all(len(line) <= 60 for line in lines[:-1])
    assert all(line.startswith("      ") and line[6] != " " for line in lines[1:])
    assert lines[-1] == "      https://" + "b" * 70
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert paragraph("one\n    " + "two " * 20).split("\n") == ["one", *(f"   {' two' * count}" for count in (14, 6))]
    assert cut("short", 10) == "short"
    assert cut("kočka domácí", 8) == "kočka d…"
    assert cell_len(cut("ㄱ" * 20, 9)) <= 9
    assert all(cell_len(line) <= 60 for line in columns([("x" * 100, "1"), ("y", "200")]))


def test_what_is_said_is_folded_on_a_terminal_and_what_is_to_be_copied_is_not(
    terminal: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    say("  " + "word " * 30)
    assert capfd.readouterr().out == "  " + "word " * 30 + "\n"
    terminal(60)
    say("  " + "word " * 30)
    first, *others = capfd.readouterr().out.splitlines()
    assert first.startswith("  word")
    assert others
    assert all(line.startswith("    word") and len(line) <= 60 for line in others)
    say_whole("  kopal " + "word " * 30)
    say_json({"name": "x" * 100})
    assert capfd.readouterr().out.splitlines()[0] == "  kopal " + "word " * 30


def test_folded_lines_fit_and_nothing_is_lost() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        width, indent = rng.randint(4, 40), rng.randint(0, 12)
        letters = [rng.choice("ab/犬č  ") for _ in range(rng.randint(0, 90))]
        text = "".join(letters).strip()
        lines = fold(text, width, indent)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(cell_len(line) <= width for line in lines), (text, width, indent)
        assert all(line.startswith(" " * min(indent, width // 2)) for line in lines[1:])
        assert all(line == line.rstrip() for line in lines)


def test_a_long_path_is_broken_after_a_slash() -> None:
    lines = fold("bad  photos/of/the/year/1.jpg: no picture", 18, 5)
    assert lines == ["bad  photos/of/", "     the/year/", "     1.jpg: no", "     picture"]
    assert fold("a web address: https://example.org/long", 18, 2) == ["a web address:", "  https://example.org/long"]
    assert fold("a b", 80) == ["a b"]
    assert fold("", 80) == [""]
