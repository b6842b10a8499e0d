"""Long films are made in segments, by one or several workers, and equal films made at once."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import films
import made
import numpy as np
import pytest
from waiting import wait_until

from pano_sound.library import film_maker, long, thumbnails, work
from pano_sound.library.discover import File
from pano_sound.library.job import Job
from pano_sound.library.manifest import FilmRecord
from pano_sound.library.settings import full_settings
from pano_sound.library.storage import SEGMENTS, store
from pano_sound.media import segments
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.steps import PanOptions
from pano_sound.pipeline import film as pipeline_film
from pano_sound.soundmap import SoundMap


def silent(stage, done, total):
    pass


class Making:
    """A film of 4 s to be made in four segments of 1 s."""

    def __init__(self, folder: Path, tiny: Path, root: str | None = None, name: str = "film.mp4") -> None:
        self.film = films.make_film(
            folder / "film.mp4", films.steady(40, 10), sound=films.tone(4.0), encoder={"g": "6"}, size=(128, 64)
        )
        file = File(str(self.film), (self.film.stat().st_size, "1"))
        self.row = FilmRecord(
            1, name, (file,), "", "running", None, "me", 1, 0, 0.0, 0.0, None, None, None, (), {}, None
        )
        self.settings = full_settings(PanOptions(model=str(tiny), size="64x64", encoder_preset="veryfast"))
        self.out, self.soundmaps = store(root or folder / "out"), store(folder / "soundmaps")
        self.out.create()
        self.soundmaps.create()
        self.scratch = folder / "scratch"
        self.contents: dict[str, str] = {}

    @property
    def job(self):
        return Job(self.row, self.settings, self.out.root, self.soundmaps.root, self.contents, {})

    def attempt(self, progress=silent, **more):
        return work.attempt(self.job, self.scratch, progress, **more)

    def segment(self, make, number):
        return make(self.job, self.scratch, number)

    def left(self):
        return sorted(p.name for p in Path(self.out.root).glob(f"{SEGMENTS}/*/*"))


@pytest.fixture
def making(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(film_maker, "segments", functools.partial(segments.segments, seconds=1.0))
    work.prepare_process()
    return Making(tmp_path, tiny)


def pictures(film):
    with VideoReader(probe(film)) as reader:
        return [(p.pts * p.time_base, float(p.planes[0].mean())) for p in reader.pictures()]


@pytest.mark.slow
def test_the_result_is_that_of_a_film_made_at_once(making, tmp_path, tiny, monkeypatch):
    seen, probed = [], []
    for module in (pipeline_film, thumbnails):
        monkeypatch.setattr(module, "probe", lambda path, *options: probed.append(path) or probe(path, *options))
    found = making.attempt(lambda stage, done, total: seen.append((stage, done, total)))
    assert found.state == "done", found.error
    assert len(probed) == 2  # the film and the result
    assert not Path(making.out.root, SEGMENTS).exists() or not making.left()
    assert not making.scratch.exists()
    for stage in ("listen", "look", "render"):
        done = [d for s, d, _ in seen if s == stage]
        assert done[-1] == pytest.approx(4.0)
        assert done == pytest.approx(sorted(done))
    assert {total for _, _, total in seen} == {4.0}

    monkeypatch.setattr(film_maker, "segments", lambda info: [segments.WHOLE])
    (tmp_path / "at once").mkdir()
    once = Making(tmp_path / "at once", tiny)
    assert once.attempt().state == "done"
    one, other = (Path(m.out.name("film.mp4")) for m in (making, once))
    assert [t for t, _ in pictures(one)] == [t for t, _ in pictures(other)]
    assert [v for _, v in pictures(one)] == pytest.approx([v for _, v in pictures(other)], abs=2.5)
    maps = [SoundMap.load(next(Path(m.soundmaps.root).rglob("*.npz"))) for m in (making, once)]
    assert np.array_equal(maps[0].times, maps[1].times)
    assert maps[0].posterior == pytest.approx(maps[1].posterior, abs=2e-3)


class StopError(Exception):
    pass


@pytest.mark.slow
def test_segments_made_before_a_stop_are_not_made_again(making, monkeypatch):
    clean = making.attempt()
    assert clean.state == "done"
    content = Path(making.out.name("film.mp4")).read_bytes()
    Path(making.out.name("film.mp4")).unlink()
    for kept in Path(making.soundmaps.root).rglob("*.npz"):
        kept.unlink()

    def stop(after):
        def progress(stage, done, total):
            if (stage, done > after) == ("render", True):
                raise StopError

        return progress

    with pytest.raises(StopError):
        making.attempt(stop(2.5))
    assert making.left() == ["0.mp4", "0.soundmap.npz", "1.mp4", "1.soundmap.npz", "2.soundmap.npz", "3.soundmap.npz"]
    done, render = [], long.render_segment
    monkeypatch.setattr(long, "analyse_segment", lambda *_: done.append("analysed"))
    monkeypatch.setattr(
        long, "render_segment", lambda info, part, *more: done.append(part) or render(info, part, *more)
    )
    assert making.attempt().state == "done"
    assert done == segments.segments(probe(making.film), 1.0)[2:]
    assert Path(making.out.name("film.mp4")).read_bytes() == content


@pytest.mark.slow
def test_others_may_make_the_segments(making):
    alone = making.attempt()
    content = Path(making.out.name("film.mp4")).read_bytes()
    for kept in Path(making.soundmaps.root).rglob("*.npz"):
        kept.unlink()
    found = making.attempt(split=True)
    assert (found.state, found.segments) == ("long", 4)
    assert alone.contents == found.contents
    making.contents = found.contents
    for number in (3, 1, 0, 2):
        assert making.segment(work.analyse_part, number) == []
    for number in (2, 0, 3, 1):
        assert making.segment(work.render_part, number) == []
    assert len(making.left()) == 8
    seen = []
    found = making.attempt(lambda stage, *_: seen.append(stage), said=["film.mp4: something"])
    assert found.state == "done"
    assert seen == []
    assert found.made.warnings[0] == "film.mp4: something"
    assert Path(making.out.name("film.mp4")).read_bytes() == content
    assert making.left() == []


def test_a_damaged_segment_fails_its_film_with_a_clear_error(making):
    making.contents = making.attempt(split=True).contents
    making.segment(work.analyse_part, 0)
    (one,) = Path(making.out.root).rglob("0.soundmap.npz")
    one.write_bytes(b"no sound map")
    found = making.attempt()
    assert found.state == "failed"
    assert "not a sound map, or damaged" in found.error


def test_a_long_film_is_made_in_an_object_store(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(film_maker, "segments", functools.partial(segments.segments, seconds=1.0))
    import fsspec

    making = Making(tmp_path, tiny, root="memory://long/out")
    assert making.attempt().state == "done"
    found = fsspec.filesystem("memory").find("/long/out")
    assert found == ["/long/out/film.mp4", "/long/out/film.path.json"]


@pytest.mark.slow
def test_a_long_film_is_made_once_by_the_command(batch, long_library):
    done = batch(long_library, "-o", "out")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (batch.folder / "out" / "report.jsonl").read_text().splitlines()]
    assert {line["output"]: line["state"] for line in lines} == {"long.mp4": "done", "short.mp4": "done"}
    before = made.hashes(batch.folder / "out")
    again = batch(long_library, "-o", "out")
    assert again.returncode == 0
    assert made.hashes(batch.folder / "out") == before
    assert not (batch.folder / "out" / SEGMENTS).exists()


@pytest.mark.slow
def test_a_long_film_is_the_same_when_the_command_is_killed_again_and_again(batch, long_library, long_finished):
    kept = batch.folder / "out" / SEGMENTS
    for parts in (1, 3, 4):  # Of six: three sound maps, three videos.
        run = batch.start(long_library, "-o", "out")
        wait_until(lambda parts=parts: len(list(kept.glob("*/*"))) >= parts, run)
        run.kill()
        run.communicate()
    assert batch(long_library, "-o", "out").returncode == 0
    assert made.hashes(batch.folder / "out") == long_finished
