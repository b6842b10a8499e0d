"""Where films are looked for and things are kept: folders with odd names, links in a circle, users without a home."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pano_sound.errors import InputError, OutputError
from pano_sound.library import locations
from pano_sound.library.discover import discover, read_list
from pano_sound.library.storage import store
from pano_sound.localize.nets import pretrained


@pytest.fixture
def tree(tmp_path):
    for name in ("1.mp4", "a/2.mp4", "a/b/3.mp4", "a/b/3.txt", "c/.h/4.mp4", "c/.5.mp4", "[1]/6.mp4", "[1]/x/7.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def found(pattern):
    return {os.path.basename(film.paths[0])[0]: film.folder for film in discover([pattern])}


PATTERNS = [
    (".", "*.mp4", {"1": ""}),
    (".", "**/*.mp4", {"1": "", "2": "a", "3": "a/b", "6": "[1]", "7": "[1]/x"}),
    (".", "a/**/*.mp4", {"2": "", "3": "b"}),
    (".", "**/b/*.mp4", {"3": "a/b"}),
    (".", "*/.h/*.mp4", {"4": "c/.h"}),
    (".", "?/*.mp4", {"2": "a"}),
    (".", "[[]1]/*", {"6": "[1]"}),
    ("[1]", "*.mp4", {"6": ""}),
    ("[1]", "**/*.mp4", {"6": "", "7": "x"}),
    ("[1]", "../a/*.mp4", {"2": ""}),
]


@pytest.mark.parametrize(("folder", "pattern", "films"), PATTERNS)
def test_patterns_find_films(tree, monkeypatch, folder, pattern, films):
    monkeypatch.chdir(tree / folder)
    assert found(pattern) == films


@pytest.mark.parametrize(
    ("source", "results", "films"),
    [("", "a", "167"), ("", "a/b", "1267"), ("", "", "12367"), ("a", "", "23"), ("a", "a", "23"), ("a", "a/b", "2")],
)
def test_the_folder_of_results_is_searched_only_if_films_in_it_are_wanted(tree, source, results, films):
    found = discover([str(tree / source)], leave_out=str(tree / results))
    assert sorted(os.path.basename(film.paths[0])[0] for film in found) == list(films)


UNREADABLE = [
    ("", "167", True),
    ("**/*.mp4", "167", True),
    ("*/*.mp4", "6", True),
    ("*.mp4", "1", False),
    ("[[]1]/**/*.mp4", "67", False),
]


@pytest.mark.parametrize(("source", "films", "is_named"), UNREADABLE)
def test_folders_that_cannot_be_read_are_named(tree, monkeypatch, caplog, source, films, is_named):
    """If films in them are wanted. Root may read any, so that the system is only said to refuse it."""
    listed = os.scandir

    def scandir(path):
        if os.path.basename(path) in ("a", ".h"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert sorted(found(str(tree / source))) == list(films)
    warning = f"{tree / 'a'}: cannot be read, so films in it are not found: Permission denied"
    assert caplog.messages == [warning] * is_named
    for below in ("a", "a/*.mp4"):
        with pytest.raises(InputError, match="a: cannot be read: Permission denied"):
            discover([str(tree / below)])


@pytest.mark.parametrize("content", [b"\0\0\0 ftypisom", "a.mp4\n".encode("utf-16")])
def test_a_list_that_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match="not a list of films: it is not text in UTF-8"):
        read_list(str(tmp_path / "list.txt"))


def test_links_in_a_circle_are_followed_once(tree, monkeypatch):
    for i in range(3):
        (tree / "a" / f"up{i}").symlink_to(tree)
    (tree / "a" / "b" / "elsewhere").symlink_to(tree / "[1]")
    monkeypatch.chdir(tree)
    assert sorted(found("a/**/*.mp4")) == ["1", "2", "3", "6", "7"]
    assert len(discover(["a/**/*.mp4"])) == 5


@pytest.fixture(params=["no home", "one that is not theirs"])
def homeless(request, monkeypatch):
    """As in a container that runs with a user id of its own."""
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "PANO_SOUND_CACHE", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if request.param == "no home":
        monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    else:
        monkeypatch.setenv("HOME", "/proc/nobody")
        monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith("/proc"))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which nobody can make another")
def test_without_a_home_folder_everything_is_kept_beside_the_results(tmp_path, monkeypatch, homeless):
    monkeypatch.chdir(tmp_path)
    assert Path(locations.soundmaps_folder(store(tmp_path), False)) == tmp_path / ".pano-sound" / "soundmaps"
    with pytest.raises(OutputError, match="there is no home folder to keep the manifest in"):
        locations.manifest_path(store("memory://bucket"), None)
    assert pretrained.available() == []
    assert list(tmp_path.iterdir()) == []
