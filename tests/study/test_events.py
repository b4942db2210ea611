"""Events and who is told of them."""

from __future__ import annotations

import pytest

from robonas.errors import ConfigError
from robonas.study.events import ScoringProgress, caller_of
from robonas.study.loop import search
from tests.fakes import CountParameters, small_space


def test_all_callbacks_are_called_in_their_order() -> None:
    told: list = []
    tell = caller_of([lambda event: told.append(("first", event)), lambda event: told.append(("second", event))])
    event = ScoringProgress(1, 2)
    tell(event)
    tell(event)
    assert told == [("first", event), ("second", event)] * 2
    caller_of(())(event)


def test_any_iterable_of_functions_will_do() -> None:
    told: list = []
    caller_of(function for function in (told.append, told.append))(1)
    assert told == [1, 1]


@pytest.mark.parametrize("given", [print, None, 3, "print", [print, None], ["print"]])
def test_what_is_no_list_of_functions_is_refused_by_a_sentence(given) -> None:
    with pytest.raises(ConfigError, match=r"`callbacks` must be a list of functions; got .*callbacks=\[function\]"):
        caller_of(given)


def test_a_search_refuses_a_function_before_it_writes_anything(tmp_path) -> None:
    with pytest.raises(ConfigError, match="`callbacks` must be a list of functions"):
        search(small_space(), CountParameters(), folder=tmp_path / "run", callbacks=print)
    assert not (tmp_path / "run").exists()


def test_an_error_of_a_callback_stops_and_those_before_it_were_told() -> None:
    told: list = []

    def broken(event) -> None:
        raise RuntimeError("flat tyre")

    with pytest.raises(RuntimeError, match="flat tyre"):
        caller_of([told.append, broken, told.append])(1)
    assert told == [1]
