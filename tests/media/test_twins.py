"""Low-resolution twins of films."""

import logging
from fractions import Fraction

import films
import pytest
from spheres import tag_v2

from pano_sound.errors import UnsupportedInputError
from pano_sound.library.discover import discover
from pano_sound.media import twins
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions
from pano_sound.pipeline.film import pannable

NAMES = [
    ("GX010042.MP4", ["GX010042.THM", "GL010042.LRV", "GL020042.LRV"], "GL010042.LRV"),
    ("GS010042.mp4", ["GS010042.LRV"], "GS010042.LRV"),
    ("DJI_0001_D.MP4", ["DJI_0001_D.LRF", "DJI_0002_D.LRF"], "DJI_0001_D.LRF"),
    ("party.mp4", ["party_Proxy.mov", "party_proxy.path.json"], "party_Proxy.mov"),
    ("party.mp4", ["Party-proxy.MKV"], "Party-proxy.MKV"),
    ("party.mp4", ["party_proxy.txt", "party2_proxy.mp4", "party.mkv", "proxy.mp4", "_proxy.mp4"], None),
    ("party_proxy.mp4", ["party.lrv"], None),
    ("party.LRV", ["party.mp4"], None),
]


@pytest.mark.parametrize(("film", "names", "twin"), NAMES)
def test_a_twin_is_known_by_its_name(film, names, twin):
    assert twins.twin_name(film, [film, *names]) == twin


def film_and_twin(folder, count=15, start=0, size=(64, 32), halves=False):
    film = films.make_film(folder / "film.mp4", films.steady(15), size=(256, 128))
    made = films.make_film(folder / "twin.mp4", films.steady(count, start=start), size=size, halves=halves)
    return film, made.rename(folder / "film.LRV")


def test_one_beside_the_film_is_used_if_it_is_wide_enough(tmp_path, monkeypatch):
    film, twin = film_and_twin(tmp_path)
    info = pannable(film, InputOptions())
    assert twins.probe_twin(info, None) is None
    monkeypatch.setattr(twins, "_WIDE_ENOUGH", 64)
    assert twins.probe_twin(info, None).path == str(twin)
    assert twins.probe_twin(info, "none") is None


@pytest.mark.parametrize("part", [{}, {"start": 0.2, "end": 0.4}])
def test_it_shows_the_film_at_the_same_times(tmp_path, part):
    film, twin = film_and_twin(tmp_path, start=Fraction(1, 20))
    info = pannable(film, InputOptions(**part))
    found = twins.probe_twin(info, twin)
    assert found.eye == (64, 32)

    def shown(film):
        with VideoReader(film) as reader:
            return [(round(float(p.t), 3), int(p.grey(4, 2).mean())) for p in reader.stored()]

    of, at = shown(info), shown(found)
    assert [t for t, _ in at] == pytest.approx([t for t, _ in of], abs=0.002)
    assert [level for _, level in at] == pytest.approx([level for _, level in of], abs=3)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"count": 45}, "its length is 1.5 s, not 0.5 s"),
        ({"size": (96, 32)}, "its shape is 96x32, not 256x128"),
        ({"halves": True}, "it shows something else"),
    ],
)
def test_one_that_does_not_fit_is_refused_if_named_and_left_out_if_found(tmp_path, caplog, how, says):
    film, twin = film_and_twin(tmp_path, **how)
    info = pannable(film, InputOptions())
    with pytest.raises(UnsupportedInputError, match=says):
        twins.probe_twin(info, twin)
    with pytest.raises(UnsupportedInputError, match=says):
        twins.probe_twin(pannable(film, InputOptions(end=0.3)), twin)
    with caplog.at_level(logging.WARNING, "pano_sound"):
        assert twins.probe_twin(info, None) is None
    assert says in caplog.text
    assert "It is not used" in caplog.text


def test_its_projection_is_the_films_unless_it_is_tagged_otherwise(tmp_path):
    film = films.make_film(tmp_path / "film.mp4", size=(192, 128))
    twin = films.make_film(tmp_path / "twin.mp4", size=(96, 64))
    cube = pannable(film, InputOptions(projection="cubemap"))
    assert twins.probe_twin(cube, twin).spherical.projection == "cubemap"
    tag_v2(twin, b"equi", bytes(16))
    with pytest.raises(UnsupportedInputError, match="its projection is equirectangular, not cubemap"):
        twins.probe_twin(cube, twin)


def test_twins_are_no_films_of_their_own_in_a_batch(tmp_path):
    for name in ("party.mp4", "party_proxy.mp4", "alone_proxy.mp4", "party.LRV", "alone.LRV"):
        (tmp_path / name).touch()
    listed = [str(tmp_path / "party.LRV"), str(tmp_path / "alone.LRV")]
    assert sorted(film.paths for film in discover([str(tmp_path)], listed)) == [
        (str(tmp_path / "alone.LRV"),),
        (str(tmp_path / "alone_proxy.mp4"),),
        (str(tmp_path / "party.mp4"),),
    ]
