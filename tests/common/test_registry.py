"""Names in catalogues, and references to the user's own code."""

import sys

import pytest

from robonas.common.registry import import_object, lasting_reference, lookup, told_with_place, unknown_name
from robonas.errors import UnknownNameError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty current folder; afterwards no module or path of it remains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_lookup_finds():
    assert lookup("metric", "snip", {"snip": 1, "synflow": 2}) == 1


def test_lookup_suggests_and_lists():
    with pytest.raises(UnknownNameError) as caught:
        lookup("metric", "sinp", {"synflow": 2, "snip": 1})
    assert str(caught.value) == (
        "Unknown metric 'sinp'. Did you mean 'snip'? Known: snip, synflow; your own: 'package.module:NAME'."
    )
    assert (caught.value.kind, caught.value.name, caught.value.known) == ("metric", "sinp", ("snip", "synflow"))
    assert isinstance(caught.value, LookupError)


def test_lookup_suggests_whatever_the_case_and_nothing_far_away():
    with pytest.raises(UnknownNameError, match="Did you mean 'snip'"):
        lookup("metric", "SNIP", {"snip": 1})
    with pytest.raises(UnknownNameError) as caught:
        lookup("metric", "zzzzzz", {"snip": 1})
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="Unknown metric ''"):
        lookup("metric", "", {"snip": 1})


def test_of_very_many_names_the_nearest_few_are_shown() -> None:
    known = [f"resnet{n}" for n in range(201)]
    error = unknown_name("model", "ResNet19x", known, "Unknown model 'timm:ResNet19x'")
    assert str(error) == (
        "Unknown model 'timm:ResNet19x'. Did you mean 'resnet19' or 'resnet199' or 'resnet198'? Known: 201 names."
    )
    assert (error.kind, error.name, error.known) == ("model", "ResNet19x", tuple(known))
    assert str(unknown_name("part", "x", [])) == "Unknown part 'x'. Known: none."


def test_imports_from_the_environment():
    import json

    assert import_object("thing", "json:loads") is json.loads
    assert import_object("thing", "json.decoder:JSONDecoder") is json.JSONDecoder


def test_imports_a_module_of_the_current_folder(elsewhere):
    (elsewhere / "my_own_thing.py").write_text("THING = 42\n")
    assert import_object("thing", "my_own_thing:THING") == 42


def test_imports_a_file_once_and_what_lies_beside_it(elsewhere):
    folder = elsewhere / "deep" / "down"
    folder.mkdir(parents=True)
    (folder / "my_helper.py").write_text("VALUE = 7\n")
    (folder / "my_file.py").write_text("from my_helper import VALUE\nTHING = [VALUE]\n")
    thing = import_object("thing", "deep/down/my_file.py:THING")
    assert thing == [7]
    assert import_object("thing", f"{folder}/my_file.py:THING") is thing
    assert sys.modules["my_file"].THING is thing, "so that pickles of it can be read where it is imported again"


def test_two_files_of_one_name_are_two_modules(elsewhere):
    for place in ("one", "two"):
        (elsewhere / place).mkdir()
        (elsewhere / place / "same_name.py").write_text(f"PLACE = {place!r}\n")
    assert import_object("thing", "one/same_name.py:PLACE") == "one"
    assert import_object("thing", "two/same_name.py:PLACE") == "two"
    assert import_object("thing", "two/same_name.py:PLACE") == "two"
    assert import_object("thing", "one/same_name.py:PLACE") == "one"


def test_a_file_with_the_name_of_a_standard_module_replaces_nothing(elsewhere):
    import json

    (elsewhere / "json.py").write_text("THING = 1\n")
    assert import_object("thing", "json.py:THING") == 1
    assert sys.modules["json"] is json


def test_an_error_of_ones_own_code_is_told_with_its_place(elsewhere):
    (elsewhere / "my_faults.py").write_text(
        "import json\n\n\ndef deep():\n    return json.loads('{')\n\n\ndef lines():\n"
        "    raise ValueError('two:\\n\\n  lines\\nand more')\n\n\ndef none():\n    raise KeyError\n"
    )
    (elsewhere / "my_package").mkdir()
    (elsewhere / "my_package" / "__init__.py").write_text("def fail():\n    return 1 / 0\n")
    told = []
    for name in ("my_faults:deep", "my_faults:lines", "my_faults:none", "my_package:fail"):
        try:
            import_object("thing", name)()
        except Exception as error:
            error.__traceback__ = error.__traceback__.tb_next  # not this file, which is the user's own too
            told.append(told_with_place(error))
    assert told[0].startswith("JSONDecodeError: Expecting property name")
    assert told[0].endswith(" (my_faults.py, line 5)")
    assert told[1:] == [
        "ValueError: two: lines (my_faults.py, line 9)",
        "KeyError: no message (my_faults.py, line 13)",
        "ZeroDivisionError: division by zero (my_package/__init__.py, line 2)",
    ]
    assert told_with_place(ValueError("nowhere")) == "ValueError: nowhere"


@pytest.mark.parametrize("reference", [":x", "module:", ".module:x", "module", "", ":", "..:x"])
def test_malformed_references(reference):
    with pytest.raises(UnknownNameError, match="must read 'package.module:NAME'"):  # noqa: RUF043
        import_object("thing", reference)


def test_what_is_missing_is_named(elsewhere):
    with pytest.raises(UnknownNameError, match="no module 'no_such_module' here or in the environment"):
        import_object("thing", "no_such_module:x")
    with pytest.raises(UnknownNameError, match=r"no module 'json\.no_such' here"):
        import_object("thing", "json.no_such:x")
    with pytest.raises(UnknownNameError, match="no file '.*nothing.py'"):  # noqa: RUF043
        import_object("thing", "nothing.py:x")
    with pytest.raises(UnknownNameError, match="module 'json' has no 'dumb'") as caught:
        import_object("search space", "json:dumb")
    assert caught.value.kind == "search space"


def test_errors_inside_the_users_module_are_not_hidden(elsewhere):
    (elsewhere / "needs_more.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        import_object("thing", "needs_more:x")
    (elsewhere / "breaks.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        import_object("thing", "breaks.py:x")
    with pytest.raises(ZeroDivisionError):  # and is not half there the second time
        import_object("thing", "breaks.py:x")


@pytest.mark.parametrize("start", ["./", "../inner/"])
def test_files_by_a_path_from_here(elsewhere, start, monkeypatch):
    (elsewhere / "inner").mkdir()
    (elsewhere / "inner" / "by_path.py").write_text("answer = 42\n")
    monkeypatch.chdir(elsewhere / "inner")
    assert import_object("thing", f"{start}by_path.py:answer") == 42


def test_a_lasting_reference_has_the_whole_path_of_its_file(elsewhere):
    assert lasting_reference("./mine.py:thing") == f"{elsewhere.resolve()}/mine.py:thing"
    assert lasting_reference("package.module:NAME") == "package.module:NAME"
    assert lasting_reference("robot") == "robot"
