"""What a search's report was written beside."""

from __future__ import annotations

import pytest

from robonas.errors import ConfigError, StudyError
from robonas.study.comparison import compared_with, remember_comparison


def test_names_are_remembered_for_each_study(tmp_path) -> None:
    assert compared_with(tmp_path) == ()
    remember_comparison(tmp_path, "search", ["random", "tpe"])
    remember_comparison(tmp_path, "other", ["robot"])
    assert compared_with(tmp_path) == ("random", "tpe")
    assert compared_with(tmp_path, "other") == ("robot",)
    remember_comparison(tmp_path, "search", [])
    assert compared_with(tmp_path) == ()


def test_nothing_to_remember_makes_no_file(tmp_path) -> None:
    remember_comparison(tmp_path, "search", ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"compared_with": 3}', '{"compared_with": "random"}', '{"compared_with": ["../x"]}'],
)
def test_a_damaged_record_is_told_and_mended_by_naming_the_studies(tmp_path, content) -> None:
    (tmp_path / "search.comparison.json").write_text(content)
    with pytest.raises(StudyError, match="Delete it, or name the studies"):
        compared_with(tmp_path)
    remember_comparison(tmp_path, "search", ["random"])
    assert compared_with(tmp_path) == ("random",)


def test_a_name_that_is_a_path_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="`name` must be"):
        compared_with(tmp_path, "../other")
