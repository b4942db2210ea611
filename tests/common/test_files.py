"""Files that are whole or absent."""

import os
import signal
import stat
import sys

import pytest

from robonas.common.files import check_file, check_folder, replacing, write_text


def test_writes_and_makes_the_folder(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    write_text(path, "héllo\n")
    assert path.read_bytes() == "héllo\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["c.txt"], "no temporary file remains"
    write_text(str(path), "again")
    assert path.read_text() == "again"


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="crash"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        assert path.read_text() == "old", "until the end, the old file is there"
        raise RuntimeError("crash")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_leaves_no_file_where_there_was_none(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_is_beside_its_place(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        assert temporary.parent == tmp_path, "else the move could cross file systems and not be atomic"
        temporary.write_text("x")


def test_a_signal_as_soon_as_the_temporary_file_is_there_leaves_nothing(tmp_path, monkeypatch):
    make = os.open

    def stopped(path, flags, *rights, **more):
        handle = make(path, flags, *rights, **more)
        if flags & os.O_CREAT:
            os.close(handle)
            raise KeyboardInterrupt
        return handle

    monkeypatch.setattr(os, "open", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert list(tmp_path.iterdir()) == []


def test_rights_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_writers_of_one_file_do_not_meet(tmp_path):
    with replacing(tmp_path / "a.txt") as one, replacing(tmp_path / "a.txt") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a.txt").read_text() == "one", "the last to end wins"


def test_names_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("n" * 255)
    write_text(path, "x")
    assert path.read_text() == "x"


def test_a_folder_in_the_way_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        write_text(tmp_path / "a", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="forks, and needs locks of files")
@pytest.mark.parametrize("check", [check_folder, lambda folder: check_file(folder / "b")])
def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not(tmp_path, check):
    pid = os.fork()
    if pid == 0:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert len(list(tmp_path.iterdir())) == 1
    with replacing(tmp_path / "c") as temporary:
        temporary.write_text("whole")
        check(tmp_path)
        assert list(tmp_path.iterdir()) == [temporary]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
