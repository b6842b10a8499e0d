"""Parts of films, and several files as one."""

import http.server
import io
import logging
import re
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path

import films
import numpy as np
import pytest
from test_sound import onsets
from test_writer import rewrite as rewrite_whole

from pano_sound.errors import InputError, UnsupportedInputError
from pano_sound.media import footage
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.sound import SoundReader
from pano_sound.options.input import InputOptions

FPS = 30
FLASHES = (0.5, 1.5, 2.5, 3.5)


def flashing(path, start=0, seconds=4.0, codec="libx264", sound_codec="aac", **more):
    """A film with a flash and a click together at FLASHES (s), and its sound a little longer than its picture."""
    levels = [200 if any(abs(n / FPS - f) < 1e-6 for f in FLASHES) else 40 for n in range(round(seconds * FPS))]
    return films.make_film(
        path,
        films.steady(len(levels), FPS, start=start),
        levels=levels,
        codec=codec,
        sound=films.clicks(seconds + 0.2, [f for f in FLASHES if f < seconds]),
        sound_codec=sound_codec,
        sound_start=start,
        **more,
    )


def flashes(path, **options):
    """(times of bright pictures, onsets of clicks), both in presentation time."""
    info = probe(path, InputOptions(**options))
    seen = [p.t for p in VideoReader(info).pictures() if p.planes[0].mean() > 120]
    heard = np.concatenate([np.zeros(0), *SoundReader(info, 16000).blocks(1)])
    return seen, [t + info.start for t in onsets(heard, 16000)]


def rewrite(source, path, **options):
    info = probe(source, InputOptions(**options))
    return rewrite_whole(info, path)


@pytest.mark.parametrize(
    ("container", "start", "end", "inside"),
    [
        *((container, "1", "3.2", (0.5, 1.5)) for container in ("mp4", "mkv", "ts", "webm", "avi", "fragmented")),
        *((container, "0:03", None, (0.5,)) for container in ("mp4", "ts")),
        *((container, None, 1, (0.5,)) for container in ("mkv", "ts")),
    ],
)
def test_a_part_begins_at_its_start_and_ends_at_its_end(tmp_path, container, start, end, inside):
    more = {"options": {"movflags": "frag_keyframe+delay_moov"}} if container == "fragmented" else {}
    if container == "webm":
        more |= {"codec": "libvpx", "sound_codec": "libopus"}
    if container == "avi":
        more |= {"codec": "mjpeg", "pix_fmt": "yuvj420p", "sound_codec": "pcm_s16le", "time_base": Fraction(1, FPS)}
    path = flashing(tmp_path / f"a.{container.replace('fragmented', 'mp4')}", **more)
    options = {"start": start, "end": end}
    info = probe(path, InputOptions(**options))
    length = (3.2 if end == "3.2" else end or 4.0) - float((start or "0")[-1])
    # A transport stream's clock begins with its sound's priming.
    slack = 0.08 if container == "ts" else 0.002
    assert info.start == pytest.approx(0, abs=1 / FPS + slack)
    assert info.duration == pytest.approx(length, abs=0.1)
    seen, heard = flashes(path, **options)
    assert seen == pytest.approx(inside, abs=slack)
    assert heard == pytest.approx(seen, abs=5e-3)
    times = [p.t for p in VideoReader(info).pictures()]
    assert len(times) == pytest.approx(length * FPS, abs=3)
    assert times[0] >= 0
    assert times[-1] < length


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("output", ["b.mp4", "b.mkv"])
def test_what_is_written_of_a_part_begins_at_zero_and_is_in_sync(tmp_path, codec, output):
    """Copied sound (AAC) and encoded (PCM)."""
    source = flashing(tmp_path / "a.mkv", sound_codec=codec)
    made = rewrite(source, tmp_path / output, start="0:01.25", duration=2)
    assert made.start == pytest.approx(0, abs=1 / FPS + 1e-3)
    assert made.duration == pytest.approx(2, abs=0.1)
    seen, heard = flashes(tmp_path / output)
    assert seen == pytest.approx([0.25, 1.25], abs=2e-3)
    assert heard == pytest.approx(seen, abs=5e-3)


def test_pictures_keep_their_distances_in_a_part(tmp_path):
    times = [Fraction(n * n, 400) for n in range(1, 40)]
    path = films.make_film(tmp_path / "a.mkv", times)
    read = [p.t for p in VideoReader(probe(path, InputOptions(start="0.9"))).pictures()]
    # The one that is on the screen at 0.9 s, since 0.9025 - 1/10 or so, comes first.
    assert np.allclose(read, [0.0, *(float(t) - 0.9 for t in times if t >= 0.9)], atol=1e-3)


@pytest.mark.slow
def test_a_late_part_of_a_long_film_is_found_by_seeking(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(600, 30), levels=[100] * 600)
    info = probe(path, InputOptions(start=18))
    films.damage(path, range(1, 450))  # Unless it seeks, it meets these.
    with VideoReader(info) as reader:
        assert len(list(reader.pictures())) == 60
        assert reader.corrupt_frames == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"start": 5}, "after the film's end"),
    ],
)
def test_impossible_parts_are_refused(tmp_path, options, word):
    with pytest.raises(InputError, match=word):
        probe(flashing(tmp_path / "a.mp4"), InputOptions(**options))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"start": "x"}, "`start` must look like"),
        ({"start": -1}, "`start` must look like"),
        ({"end": "1:2:3:4"}, "`end` must look like"),
        ({"end": 2, "duration": 1}, "cannot be used together"),
        ({"start": 3, "end": 3}, "nothing is left"),
        ({"duration": 0}, "must be more than 0"),
        ({"start": "99999:00:00"}, "at most 10000 hours"),
    ],
)
def test_malformed_times_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        probe("a.mp4", InputOptions(**options))


@pytest.mark.parametrize(
    "containers",
    ["ts ts", "mkv ts mp4", *(pytest.param(c, marks=pytest.mark.slow) for c in ("mp4 mp4 mp4", "mp4 mkv"))],
)
def test_files_follow_one_another(tmp_path, containers):
    """Time bases and starts differ; sound that is longer than its picture gives way to the next file's."""
    paths = [
        flashing(tmp_path / f"{n}.{container}", seconds=2.0, start=Fraction(n, 10))
        for n, container in enumerate(containers.split())
    ]
    info = probe(paths)
    assert info.duration == pytest.approx(2 * len(paths), abs=0.02)
    assert info.size_bytes == sum(p.stat().st_size for p in paths)
    seen, heard = flashes(paths)
    assert np.array(seen) - info.start == pytest.approx([n + 0.5 for n in range(2 * len(paths))], abs=3e-3)
    assert heard == pytest.approx(seen, abs=5e-3)
    times = np.array([p.t for p in VideoReader(info).pictures()])
    assert len(times) == 60 * len(paths)
    assert np.diff(times) == pytest.approx(1 / FPS, abs=3e-3)


@pytest.mark.parametrize(("start", "end", "inside"), [(1.2, 2.8, (0.3, 1.3)), (2.2, None, (0.3, 1.3))])
def test_parts_of_several_files(tmp_path, start, end, inside):
    paths = [flashing(tmp_path / f"{n}.mp4", seconds=2.0) for n in range(2)]
    seen, heard = flashes(paths, start=start, end=end)
    assert seen == pytest.approx(inside, abs=1e-3)
    assert heard == pytest.approx(seen, abs=5e-3)


def test_several_files_are_written_as_one(tmp_path):
    paths = [flashing(tmp_path / f"{n}.mp4", seconds=2.0) for n in range(2)]
    rewrite(paths, tmp_path / "b.mp4")
    seen, heard = flashes(tmp_path / "b.mp4")
    assert seen == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=2e-3)
    assert heard == pytest.approx(seen, abs=5e-3)


def test_files_that_do_not_fit_together_are_refused(tmp_path, caplog):
    one = films.make_film(tmp_path / "1.mp4")
    other = films.make_film(tmp_path / "2.mp4", size=(256, 128))
    sound = films.make_sound(tmp_path / "3.wav", films.tone(0.5))
    loud = films.make_film(tmp_path / "4.mp4", sound=films.tone(0.4))
    with pytest.raises(UnsupportedInputError, match=r"2.mp4: is of another size \(256x128\) than the first file"):
        probe([one, other])
    with pytest.raises(UnsupportedInputError, match=r"3.wav: has no picture"):
        probe([one, sound])
    with pytest.raises(InputError, match="no such file"):
        probe([one, tmp_path / "none.mp4"])
    with caplog.at_level(logging.WARNING, "pano_sound"):
        assert probe([one, loud]).audio is None
    assert "has sound, unlike the first file" in caplog.text


def test_chapters_of_a_recording_are_found(tmp_path):
    for name in ("GX010042.MP4", "GX020042.MP4", "GX030042.MP4", "GX050042.MP4", "GX020043.MP4"):
        (tmp_path / name).touch()
    for name in ("GOPR0007.MP4", "GP010007.MP4", "GP020007.MP4"):
        (tmp_path / name).touch()

    def after(name):
        return [footage.os.path.basename(p) for p in footage.following_chapters(str(tmp_path / name))]

    assert after("GX010042.MP4") == ["GX020042.MP4", "GX030042.MP4"]
    assert after("GX030042.MP4") == []
    assert after("GOPR0007.MP4") == ["GP010007.MP4", "GP020007.MP4"]
    assert after("holiday.MP4") == []


# URLs


@pytest.fixture
def remote(tmp_path):
    """Puts a local file behind a memory:// URL."""
    fsspec = pytest.importorskip("fsspec")

    def put(path):
        url = f"memory://films/{path.name}"
        with fsspec.open(url, "wb") as file:
            file.write(path.read_bytes())
        return url

    yield put
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("container", ["mp4", *(pytest.param(c, marks=pytest.mark.slow) for c in ("mkv", "ts"))])
def test_urls_are_read_like_files(tmp_path, remote, container):
    path = flashing(tmp_path / f"a b é.{container}")
    url = remote(path)
    here, there = probe(path, InputOptions(start=1)), probe(url, InputOptions(start=1))
    assert (there.duration, there.size_bytes, there.video) == (here.duration, here.size_bytes, here.video)
    assert flashes(url, start=1) == flashes(path, start=1)
    rewrite(url, tmp_path / "b.mp4")
    assert flashes(tmp_path / "b.mp4")[0] == pytest.approx(flashes(path)[0], abs=2e-3)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("memory://films/none.mp4", "no such file"),
        ("nonsense://a/b.mp4", "cannot be opened"),
    ],
)
def test_dead_urls_are_refused(url, word):
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=word) as caught:
        probe(url)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_broken_connection_is_an_error(tmp_path, remote, monkeypatch):
    url = remote(films.make_film(tmp_path / "a.mp4", films.steady(300), levels=[50, 200] * 150))
    info = probe(url)
    read = footage.RemoteFile.read
    calls = []

    def failing(self, size=-1):
        calls.append(1)
        if len(calls) > 2:
            self._file.read = None
        return read(self, size)

    monkeypatch.setattr(footage.RemoteFile, "read", failing)
    monkeypatch.setattr("pano_sound.media.opening.BUFFER_SIZE", 1024)
    with pytest.raises(InputError, match="the connection failed"):
        list(VideoReader(info).pictures())


def test_a_folder_name_may_look_like_a_url(tmp_path, monkeypatch):
    (tmp_path / "s3:" / "x").mkdir(parents=True)
    films.make_film(tmp_path / "s3:" / "x" / "a.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe("s3://x/a.mp4").video.width == 128


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder: parts of files, or, without `ranges`, files as they come, of unknown length."""

    protocol_version = "HTTP/1.1"
    ranges = True

    def log_message(self, *_):
        pass

    def send_head(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        there = Path(self.translate_path(self.path)).is_file()
        if there and not self.ranges:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            return open(self.translate_path(self.path), "rb")
        if not (there and asked):
            return super().send_head()
        content = Path(self.translate_path(self.path)).read_bytes()
        begin, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end}/{len(content)}")
        self.send_header("Content-Length", str(end + 1 - begin))
        self.end_headers()
        return io.BytesIO(content[begin : end + 1])


@pytest.mark.parametrize("ranges", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_films_on_a_web_server(tmp_path, ranges):
    pytest.importorskip("aiohttp")
    path = flashing(tmp_path / "a b.mp4")
    handler = type("Handler", (Server,), {"ranges": ranges})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        try:
            with pytest.raises(InputError, match="no such file"):
                probe(f"{root}/none.mp4")
            if ranges:
                assert flashes(f"{root}/a%20b.mp4", start=1) == flashes(path, start=1)
            else:
                with pytest.raises(InputError, match="only as a whole"):
                    probe(f"{root}/a%20b.mp4")
        finally:
            server.shutdown()
