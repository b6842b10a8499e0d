import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.soundmap import SoundMap
from pano_sound.visualize.report import write_report
from pano_sound.visualize.summary import Heard, heard, shown

NASTY = "<script>alert(1)</script>\"'&.mp4"


@pytest.fixture
def soundmap():
    """4 s: surely in front, then surely at the right, then anywhere, then silent."""
    posterior = np.zeros((4, 30, 60), np.float16)
    posterior[0, 15, 30] = posterior[1, 15, 45] = 0.8
    posterior[2] = 1e-4
    elsewhere = (1 - posterior.sum(axis=(1, 2), dtype=np.float32)).astype(np.float32)
    levels = np.array([-20, -20, -30, -120], np.float32)
    source = {"path": NASTY, "width": 480, "end": 4.0}
    return SoundMap(np.arange(4.0), posterior, elsewhere, levels, source, {"model": NASTY}, cues={NASTY: posterior})


PATH = CameraPath(640, 360, np.array([[0, 0, 0, 0, 60], [0.5, 0, 0, 0, 60], [1, 90, 0, 0, 60], [4, 90, 0, 0, 60.0]]))


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_summary_counts_what_was_heard_and_shown(soundmap):
    assert heard(soundmap) == Heard(4.0, 3.0, 2.0)
    assert str(heard(soundmap)) == "listened to 4 s: sure where for 67% of the time"
    assert str(Heard(4.0, 3.0, 2.0, ("dog",))) == "listened to 4 s: dog; sure where for 67% of the time"
    found = shown(soundmap, PATH)
    assert (found.turns, found.cuts, str(found)) == (1, 0, "1 turn")
    assert found.expected == pytest.approx(1.6, abs=0.05)
    assert found.still == pytest.approx(0.8, abs=0.05)


def test_silence_is_said(soundmap):
    soundmap.level_db[:] = -120
    assert str(heard(soundmap)) == "listened to 4 s: silent"


def test_the_page_needs_nothing_but_the_videos_and_escapes_all_names(soundmap, tmp_path):
    page = tmp_path / "pages" / "a.html"
    page.parent.mkdir()
    write_report(page, soundmap, PATH, source=tmp_path / "src" / "x.mp4", result=tmp_path / "pages" / "b <b>\"'&#.mp4")
    text = page.read_text()
    assert "alert(1)</script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    tags = Tags(text).found
    assert sum(tag == "script" for tag, _ in tags) == 1
    videos = [attributes["src"] for tag, attributes in tags if tag == "video"]
    assert videos == ["b%20%3Cb%3E%22%27%26%23.mp4", "../src/x.mp4"]
    named = [a[name] for _, a in tags for name in ("src", "href") if name in a and a[name] not in videos]
    assert len(named) == 2
    assert all(value.startswith("data:image/png;base64,") for value in named)
    assert not re.search(r"https?://", text)


def test_films_behind_urls_are_left_out(soundmap, tmp_path):
    write_report(tmp_path / "a.html", soundmap, PATH, source="https://example.org/a.mp4")
    assert "<video" not in (tmp_path / "a.html").read_text()
