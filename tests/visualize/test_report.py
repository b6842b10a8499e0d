import base64
import hashlib
import html
import io
import json
import os
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from importlib.resources import files
from urllib.parse import unquote

import av
import films
import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.constraints import Pin, load_constraints
from pano_sound.errors import DataFileError
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import PanOptions
from pano_sound.pipeline import pannable
from pano_sound.soundmap import Named, SoundMap
from pano_sound.visualize import preview
from pano_sound.visualize.report import write_report
from pano_sound.visualize.summary import SoundSummary, path_summary, sound_summary

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
    assert sound_summary(soundmap) == SoundSummary(4.0, 3.0, 2.0)
    assert str(sound_summary(soundmap)) == "listened to 4 s: sure where it comes from 67% of the time"
    named = SoundSummary(4.0, 3.0, 2.0, ("dog",))
    assert str(named) == "listened to 4 s: heard dog; sure where it comes from 67% of the time"
    found = path_summary(soundmap, PATH)
    assert (found.turns, found.cuts, str(found)) == (1, 0, "camera: 1 turn")
    assert str(replace(found, turns=0)) == "camera: no turns"
    assert found.expected == pytest.approx(1.6, abs=0.05)
    assert found.still == pytest.approx(0.8, abs=0.05)


def test_silence_is_reported(soundmap):
    soundmap.level_db[:] = -120
    assert str(sound_summary(soundmap)) == "listened to 4 s: silent"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """2 s, grey, with a tone."""
    path = tmp_path_factory.mktemp("src") / "x <b>\"'&#.mp4"
    films.make_film(path, films.steady(20, 10), size=(256, 128), sound=films.tone(2.0))
    return pannable(path, InputOptions())


def test_the_page_needs_nothing_but_the_videos_and_escapes_all_names(soundmap, film, tmp_path):
    page = tmp_path / "pages" / "a.html"
    page.parent.mkdir()
    write_report(page, soundmap, PATH, film=film, result=tmp_path / "pages" / "b.mp4")
    text = page.read_text()
    assert "alert(1)</script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    tags = Tags(text).found
    kinds = [attributes.get("type") for tag, attributes in tags if tag == "script"]
    assert kinds == ["application/json", "text/plain", None, None, None]
    videos = [attributes["src"] for tag, attributes in tags if tag == "video"]
    assert videos[0] == "b.mp4"
    assert unquote(videos[1]) == os.path.relpath(film.path, page.parent)
    named = [a[name] for _, a in tags for name in ("src", "href") if name in a and a[name] not in videos]
    assert len(named) == 3
    assert all(value.startswith("data:image/png;base64,") for value in named)
    assert not re.search(r"https?://(?!www\.w3\.org/1999/xhtml)", text)


def contents(page, name):
    text = page.read_text()
    return text.split(f'id="{name}">')[1].split("</script>")[0]


def test_the_page_holds_a_preview_of_the_film_in_its_time(soundmap, film, tmp_path):
    write_report(tmp_path / "a.html", soundmap, PATH, film=film)
    made = base64.b64decode(contents(tmp_path / "a.html", "preview"))
    with av.open(io.BytesIO(made)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert times == pytest.approx(np.arange(20) / 10, abs=0.01)


def test_the_page_knows_maps_looks_names_and_pins(soundmap, tmp_path):
    scores = np.array([[0.9], [0.8], [0], [0]], np.float16)
    path = replace(PATH, pins=(Pin(1, 2, 90, 5),))
    write_report(tmp_path / "a.html", replace(soundmap, named=Named(("dog",), scores)), path)
    data = json.loads(contents(tmp_path / "a.html", "data"))
    assert data["pins"] == [{"from": 1, "to": 2, "yaw": 90, "pitch": 5}]
    assert [moment["names"] for moment in data["moments"]] == [["dog"], ["dog"], [], []]
    assert [name for name, _ in data["maps"]["kinds"]] == ["what was heard", NASTY]
    maps = np.frombuffer(base64.b64decode(data["maps"]["kinds"][0][1]), np.uint8).reshape(4, 30, 60)
    assert [np.unravel_index(one.argmax(), one.shape) for one in maps[:2]] == [(15, 30), (15, 45)]
    assert (data["looks"][0], data["looks"][-1]) == ([0, 0, 0, 0, 60], [4, 90, 0, 0, 60])


def test_the_preview_of_a_long_film_has_fewer_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(preview, "MOST_BYTES", 20_000)
    path = tmp_path / "long.mp4"
    films.make_film(path, films.steady(100, 10), size=(256, 128))
    made = preview.preview_film(pannable(path, InputOptions()))
    with av.open(io.BytesIO(made)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert 3 <= len(times) <= 6
    assert times[0] == 0
    assert times[-1] > 6


def test_a_spectrogram_shows_the_tone(film):
    image = preview.spectrogram(film, 0, 2, 50, 64)
    assert image.shape == (50, 64)
    loudest = image.argmax(axis=1)
    mel = 2595 * np.log10(1 + np.array([440, 8000]) / 700)
    assert loudest[5:45] == pytest.approx(mel[0] / mel[1] * 64, abs=1.5)


def test_the_preview_of_a_long_film_has_pictures_as_good_as_a_short_one_s(tmp_path, monkeypatch):
    picture = np.random.default_rng(0).integers(0, 255, (160, 320, 3), np.uint8)
    with av.open(str(tmp_path / "long.mp4"), "w") as film:
        stream = film.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt, stream.options = 320, 160, "yuv420p", {"g": "1"}
        for k in range(100):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, 9 * k, 1), format="rgb24")))
        film.mux(stream.encode(None))
    info, bits = pannable(tmp_path / "long.mp4", InputOptions()), []
    for most in (50_000, 500_000):  # for a picture in ten seconds, and for each
        monkeypatch.setattr(preview, "MOST_BYTES", most)
        with av.open(io.BytesIO(preview.preview_film(info))) as container:
            sizes = [packet.size for packet in container.demux(video=0) if packet.size]
        bits.append(8 * np.mean(sizes))
    assert bits[0] == pytest.approx(bits[1], rel=0.5)


@pytest.mark.parametrize(("begin", "first", "last"), [(0, 0, 50), (2, 0, 30), (-4, 40, 90)])
def test_a_spectrogram_shows_silence_and_lies_on_the_page_s_time(tmp_path, begin, first, last):
    """5 s of a tone and 3 s of silence, then no sound: from several times on, a column each 0.1 s."""
    sound = np.concatenate([films.tone(5.0), np.zeros((2, 3 * 48000), np.float32)], axis=1)
    path = films.make_film(tmp_path / "a.mkv", films.steady(100, 10), sound=sound, sound_codec="flac")
    for columns, each in ((100, 1), (2000, 20)):
        image = preview.spectrogram(pannable(path, InputOptions()), begin, begin + 10, columns, 64)
        loud = np.flatnonzero(image.max(axis=1) > 0.1) / each
        assert (loud[0], loud[-1]) == pytest.approx((first, last), abs=1.5)
        assert len(loud) == pytest.approx((last - first) * each, abs=2 * each)


def test_films_behind_urls_are_left_out(soundmap, tmp_path):
    write_report(tmp_path / "a.html", soundmap, PATH, result="https://example.org/a.mp4")
    assert "<video" not in (tmp_path / "a.html").read_text().split("<script")[0]


def test_a_part_of_a_film_plays_from_the_film_and_joined_films_from_the_preview(soundmap, film, tmp_path):
    def screens(films, **part):
        write_report(tmp_path / "a.html", soundmap, PATH, film=pannable(films, InputOptions(**part)))
        found = Tags((tmp_path / "a.html").read_text()).found
        ids = {attributes.get("id"): attributes for _, attributes in found}
        return unquote(ids["source"]["src"]) if "source" in ids else None, "film" in ids

    part = {"start": 0.5, "end": 1.5}
    assert screens(film.path, **part) == (os.path.relpath(film.path, tmp_path), False)
    assert json.loads(contents(tmp_path / "a.html", "data"))["film"] == 0.5
    assert screens([film.path, film.path], **part) == (None, True)


@pytest.mark.parametrize(
    ("asked", "first", "film_begins", "result_begins"),
    [(None, 0.5, 0.5, 0), (1.5, 1.5, 1.5, 1.5), (None, 1.5, 0.5, 1.5)],
)
def test_a_result_keeps_the_time_stamps_of_a_whole_film_alone(
    soundmap, tmp_path, asked, first, film_begins, result_begins
):
    """Of a film that begins late; of a part of it; and of a part whose page is made without saying so."""
    path = films.make_film(tmp_path / "a.mp4", films.steady(30, 10, Fraction(1, 2)))
    late = replace(soundmap, times=soundmap.times + first)
    write_report(tmp_path / "a.html", late, PATH, film=pannable(path, InputOptions(start=asked)))
    data = json.loads(contents(tmp_path / "a.html", "data"))
    assert (data["film"], data["result"]) == (film_begins, result_begins)


@pytest.mark.parametrize("text", ["{}", "[]", "nothing", '{"pins": 3}', '{"pins": [{"from": 1}]}'])
def test_a_file_that_holds_no_pins_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataFileError):
        load_constraints(tmp_path / "a.json")


def test_pins_and_masks_of_a_file(tmp_path):
    (tmp_path / "a.json").write_text('{"pins": [{"from": 1, "to": 2, "yaw": 190, "pitch": 5}]}')
    assert load_constraints(tmp_path / "a.json") == ((Pin(1, 2, -170, 5),), ())


@pytest.mark.parametrize(
    ("video", "page", "link"),
    [
        ("s3://flat/day/a b.mp4", "s3://flat/day/a b.report.html", "a%20b.mp4"),
        ("/films/a.mp4", "s3://flat/a.report.html", None),
        ("s3://films/a.mp4", "/flat/a.report.html", None),
        ("/films/a.mp4", "/flat/a.report.html", "../films/a.mp4"),
        (os.fsdecode(b"/flat/caf\xe9.mp4"), "/flat/a.report.html", "caf%E9.mp4"),
        ("s3://flat/caf\xe9.mp4", "s3://flat/a.report.html", "caf%C3%A9.mp4"),
    ],
)
def test_links_to_videos_from_where_the_page_will_lie(soundmap, film, tmp_path, video, page, link):
    write_report(tmp_path / "a.html", soundmap, PATH, film=film, source=[video], result=video, at=page)
    found = [attributes["src"] for tag, attributes in Tags((tmp_path / "a.html").read_text()).found if tag == "video"]
    assert found == ([link, link] if link else [])


def test_the_commands_of_a_page_name_every_chapter_of_a_film(soundmap, film, tmp_path):
    chapters = ["/card/GX010042.MP4", "/card/GX020042.MP4"]
    joined = pannable([film.path] * 2, InputOptions())
    write_report(tmp_path / "a.html", soundmap, PATH, film=joined, source=chapters, at="/card/a.html")
    text = (tmp_path / "a.html").read_text()
    for name in ("analyse", "render", "report"):
        assert f"pano-sound {name} GX010042.MP4 --concat GX020042.MP4 " in text


def test_the_commands_of_a_page_take_no_file_for_an_option(soundmap, film, tmp_path):
    heard = replace(soundmap, source={**soundmap.source, "path": "-x.mp4"})
    write_report(tmp_path / "a.html", heard, PATH, film=film, source=["/card/-x.mp4"], at="/card/-x.html")
    text = html.unescape((tmp_path / "a.html").read_text())
    for words in ("analyse ./-x.mp4 ", "plan ./-x.soundmap.npz ", "render ./-x.mp4 ./-x.path.json "):
        assert f"pano-sound {words}" in text


def test_the_commands_of_a_page_have_the_options_of_their_step(soundmap, film, tmp_path, monkeypatch):
    def commands(path, options):
        write_report(page, heard, path, film=film, source=["a.mp4"], result="b.mp4", options=options)
        return [line for line in html.unescape(page.read_text()).splitlines() if "pano-sound " in line][:4]

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.wav").touch()
    heard = replace(soundmap, source={**soundmap.source, "path": "x.mp4"})
    page = tmp_path / "pages" / "a.html"
    page.parent.mkdir()
    given = PanOptions(sound="own.wav", model="small", proxy="none", preset="calm", crf=30.0)
    lines = commands(PATH, given)
    assert lines[0].endswith(" --model small --proxy none --sound ../own.wav -o x.soundmap.npz")
    assert " --pins x.pins.json --preset calm -o " in lines[1]
    assert " --crf 30 --sound ../own.wav -o ../b.mp4 " in lines[2]
    assert " x.path.json --sound ../own.wav --result ../b.mp4 " in lines[3]
    assert "such as --crf" not in page.read_text()
    lines = commands(replace(PATH, settings=given.resolved().to_json()), InputOptions(start=1.5))
    assert " --pins x.pins.json --preset calm -o " in lines[1]
    assert " x.path.json --start 1.5 -o ../b.mp4 " in lines[2]
    assert "such as --crf" in page.read_text()
    paper = PanOptions(preset="paper", fov=80.0)  # which takes no pins
    for planned, options in ((PATH, paper), (replace(PATH, settings=paper.resolved().to_json()), InputOptions())):
        assert " --pins x.pins.json --fov 80 -o " in commands(planned, options)[1]


@pytest.mark.parametrize("value", [[1], 5, {}, "x" * 5000, "a\0b"])
def test_a_sound_map_may_say_anything_of_its_settings(soundmap, tmp_path, value):
    settings = {"model": value, "proxy": value, "every": value}
    write_report(tmp_path / "a.html", replace(soundmap, settings=settings), PATH)
    assert (tmp_path / "a.html").exists()


@pytest.mark.slow
def test_a_page_does_not_grow_with_the_film(tmp_path):
    n = 40_000
    posterior = np.full((n, 10, 20), 1 / 250, np.float16)
    names = tuple(f"name {i}" for i in range(8))
    scores = (np.arange(n)[:, None] % (np.arange(8) + 2) == 0).astype(np.float16)
    soundmap = SoundMap(
        np.arange(n) * 2.0,
        posterior,
        np.full(n, 0.2, np.float32),
        np.full(n, -20, np.float32),
        {"path": "a.mp4", "width": 480, "end": 2.0 * n},
        cues={"semantic": posterior},
        named=Named(names, scores),
        cuts=np.arange(1, n, 2.0),
    )
    looks = np.column_stack([np.arange(n) * 2.0, np.arange(n) % 300 - 150.0, *np.zeros((2, n)), np.full(n, 60.0)])
    write_report(tmp_path / "a.html", soundmap, CameraPath(640, 360, looks))
    assert (tmp_path / "a.html").stat().st_size < 4_000_000


def test_the_copy_of_three_js_is_the_one_that_was_built():
    folder = files("pano_sound.visualize").joinpath("three")
    wanted = json.loads(folder.joinpath("package.json").read_text())["sha256"]
    script = folder.joinpath("three.min.js").read_bytes()
    assert hashlib.sha256(script).hexdigest() == wanted
    assert b"187" in script
