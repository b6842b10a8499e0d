import dataclasses
import io

import av
import films
import numpy as np
import pytest
import torch

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.constraints import Pin
from pano_sound.errors import ModelError, OutputError, UnsupportedInputError
from pano_sound.localize.compiled.network import CompiledNetwork
from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.media.probe import probe
from pano_sound.options.camera import PlanOptions
from pano_sound.options.steps import AnalyseOptions, PanOptions, RenderOptions
from pano_sound.pipeline.analyse import analyse_segment
from pano_sound.soundmap import SoundMap


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return films.make_film(path, films.steady(20, 10, start=1), size=(256, 128), sound=films.tone(2.0), sound_start=1)


def test_progress_goes_forward_through_every_stage(film, tiny, tmp_path):
    seen = []
    pano_sound.pan(film, tmp_path / "out.mp4", PanOptions(model=tiny), progress=lambda *step: seen.append(step))
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["listen", "look", "render"]
    for stage in ("listen", "look", "render"):
        done = [d for s, d, _ in seen if s == stage]
        total = {t for s, _, t in seen if s == stage}
        assert done == sorted(done)
        assert total == {done[-1]}
        assert done[-1] == pytest.approx(2.0, abs=0.11)


def test_stopping_from_progress_leaves_nothing(film, tiny, tmp_path):
    class StopError(Exception):
        pass

    def stop(stage, done, total):
        if stage == "render" and done > 0.5:
            raise StopError

    with pytest.raises(StopError):
        pano_sound.pan(film, tmp_path / "out.mp4", PanOptions(model=tiny), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_output_is_refused_before_any_work(film, tmp_path):
    with pytest.raises(OutputError):
        pano_sound.pan(film, film, PanOptions(model="there is no such model"), overwrite=True)


@pytest.mark.parametrize(
    ("options", "pins"),
    [
        (PanOptions(model="there is no such model"), [Pin(1, 3, 0, 0), Pin(2, 4, 9, 0)]),
        (PanOptions(model="there is no such model", preset="paper"), [Pin(1, 3, 0, 0)]),
    ],
)
def test_impossible_pins_are_refused_before_any_work(film, tmp_path, options, pins):
    with pytest.raises(ValueError, match=r"must begin after|paper"):
        pano_sound.pan(film, tmp_path / "out.mp4", options, pins=pins)


def test_films_may_be_given_by_a_generator(film, tmp_path):
    path = CameraPath(64, 64, [[0, 0, 0, 0, 90]])
    pano_sound.render((one for one in [film, film]), path, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").duration == pytest.approx(4.0, abs=0.1)
    for wrong in (None, 3, b"film.mp4"):
        with pytest.raises(TypeError, match="a file, or a list of files, is needed here"):
            pano_sound.render(wrong, path, tmp_path / "b.mp4")


def test_times_are_those_of_the_film(film, tiny):
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tiny, every=0.5))
    assert soundmap.times == pytest.approx([1.0, 1.5, 2.0, 2.5])
    assert soundmap.level_db.min() > -20
    path = pano_sound.plan(soundmap)
    assert path.times[0] == pytest.approx(1.0)
    assert path.times[-1] >= 2.9


@pytest.mark.parametrize(("every", "looked_at"), [(0, (480, 960, 3)), (0.5, (512, 1024, 3))])
def test_each_frame_is_looked_at_in_the_papers_size(film, tmp_path, monkeypatch, every, looked_at):
    """The network is made for larger panoramas; only a look now and then has time for them."""
    weights.save(Localizer(**TINY, panorama=(512, 1024)), tmp_path / "a.safetensors", {})
    shapes, embed_picture = set(), CompiledNetwork.embed_picture

    def noting(network, picture):
        shapes.add(picture.shape)
        return embed_picture(network, picture)

    monkeypatch.setattr(CompiledNetwork, "embed_picture", noting)
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tmp_path / "a.safetensors", every=every))
    assert shapes == {looked_at}
    assert soundmap.posterior.shape[1:3] == (30, 60)


def test_what_is_given_in_the_wrong_place_is_named(film, tiny, tmp_path):
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tiny))
    path, out = pano_sound.plan(soundmap), tmp_path / "out.mp4"
    for says, wrong in {
        "PlanOptions is needed here, not RenderOptions": lambda: pano_sound.plan(soundmap, RenderOptions()),
        "AnalyseOptions is needed here, not PlanOptions": lambda: pano_sound.analyse(film, PlanOptions()),
        "CameraPath is needed here, not str": lambda: pano_sound.render(film, "a.path.json", out),
        "RenderOptions is needed here, not PlanOptions": lambda: pano_sound.render(film, path, out, PlanOptions()),
        "SoundMap is needed here, not CameraPath": lambda: pano_sound.overlay(film, path, out),
        "PanOptions is needed here, not PlanOptions": lambda: pano_sound.pan(film, out, PlanOptions()),
        "str or PathLike is needed here, not NoneType": lambda: pano_sound.analyse([film, None]),
        "str or PathLike is needed here, not bytes": lambda: pano_sound.analyse(io.BytesIO(b"a")),
        "str or PathLike is needed here, not list": lambda: pano_sound.pan(film, [out]),
        "PathLike is needed here, not bytes": lambda: pano_sound.render(film, path, b"out.mp4"),
        "PathLike is needed here, not int": lambda: pano_sound.overlay(film, soundmap, 1),
    }.items():
        with pytest.raises(TypeError, match=says):
            wrong()
    for says, wrong in {
        "no file is given": lambda: pano_sound.analyse([]),
        "`posterior` has the shape": lambda: pano_sound.plan(
            dataclasses.replace(soundmap, posterior=soundmap.posterior[:1])
        ),
        "`times` must be an array of numbers": lambda: pano_sound.overlay(
            film, dataclasses.replace(soundmap, times="x"), out
        ),
        "numbers of `posterior` are not finite": lambda: pano_sound.plan(
            dataclasses.replace(soundmap, posterior=np.nan * soundmap.posterior)
        ),
    }.items():
        with pytest.raises(ValueError, match=says):
            wrong()
    assert list(tmp_path.iterdir()) == []


class BegunError(Exception):
    pass


@pytest.mark.parametrize(
    ("hours", "every", "sound_map"),
    [
        (24, 0.5, None),
        (24, 0.3, None),
        (28, 0.3, "4.8 GB"),
        (8, 0.0, None),
        (9, 0.0, "4.7 GB"),
        (9, 0.05, "4.7 GB"),
    ],
)
def test_a_sound_map_too_large_to_be_read_is_refused_before_the_work(film, tiny, monkeypatch, hours, every, sound_map):
    """The film has 10 frames a second. A map takes 3,600 bytes; there are four a step."""

    def observe(*_):
        raise BegunError

    monkeypatch.setitem(analyse_segment.__globals__, "observe", observe)
    info = dataclasses.replace(probe(film).pannable, duration=hours * 3600.0)
    refused = (
        pytest.raises(UnsupportedInputError, match=f"{hours}.0 hours would take {sound_map}")
        if sound_map
        else pytest.raises(BegunError)
    )
    with refused:
        analyse_segment(info, AnalyseOptions(model=tiny, every=every, listen="mono"), lambda *_: None)


def test_before_late_sound_there_is_silence(tiny, tmp_path):
    film = films.make_film(
        tmp_path / "late.mp4", films.steady(40, 10), size=(256, 128), sound=films.tone(2.0), sound_start=2
    )
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tiny, window=0.5, every=0.5))
    assert (soundmap.level_db[:3] < -60).all()
    assert (soundmap.level_db[5:] > -20).all()
    assert (soundmap.posterior[:3] == 0).all()
    assert (soundmap.elsewhere[:3] == 1).all()


def test_ten_bits_stay_ten_bits(tiny, tmp_path):
    film = films.make_film(
        tmp_path / "deep.mkv", films.steady(6, 10), size=(256, 128), codec="libx265", pix_fmt="yuv420p10le"
    )
    pano_sound.pan(film, tmp_path / "out.mkv", PanOptions(model=tiny))
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert out.streams.video[0].codec_context.pix_fmt == "yuv420p10le"
        levels = [int(np.median(f.to_ndarray()[: f.height])) for f in out.decode(video=0)]
    with av.open(str(film)) as source:
        before = [int(np.median(f.to_ndarray()[: f.height])) for f in source.decode(video=0)]
    assert np.abs(np.array(levels) - before).max() <= 8


def test_after_its_sound_a_film_is_silent(tiny, tmp_path):
    film = films.make_film(tmp_path / "a.mp4", films.steady(80, 10), size=(256, 128), sound=films.tone(2.0))
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tiny, window=1.0, every=0.5))
    assert (soundmap.level_db[soundmap.times > 3] < -60).all()
    assert (soundmap.level_db[soundmap.times < 2] > -20).all()


@pytest.mark.parametrize(("size", "count"), [((130, 66), 1), ((258, 130), 3), ((1922, 962), 1)])
def test_odd_sizes_and_a_single_picture(tiny, tmp_path, size, count):
    film = films.make_film(tmp_path / "a.mp4", films.steady(count, 10), size=size, sound=films.tone(0.3))
    pano_sound.pan(film, tmp_path / "out.mp4", PanOptions(model=tiny))
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tiny))
    pano_sound.overlay(film, soundmap, tmp_path / "heard.mp4")
    with av.open(str(tmp_path / "heard.mp4")) as out:
        assert sum(1 for _ in out.decode(video=0)) == count


def test_a_sound_map_of_one_picture_of_unknown_length_can_be_read_again(tiny, tmp_path):
    film = films.make_film(tmp_path / "a.h264", films.steady(1), size=(128, 64))
    assert probe(film).duration == 0
    pano_sound.analyse(film, AnalyseOptions(model=tiny)).save(tmp_path / "a.npz")
    assert pano_sound.plan(SoundMap.load(tmp_path / "a.npz")).samples[-1, 0] < 0.2


def test_one_eye_of_stereo_is_panned(tiny, tmp_path):
    film = films.make_film(
        tmp_path / "a.mp4", films.steady(3, 10), size=(256, 256), sound=films.tone(0.3), stereo="top-bottom"
    )
    soundmap = pano_sound.analyse(film, AnalyseOptions(model=tiny))
    assert (soundmap.source["width"], soundmap.source["height"]) == (256, 128)
    pano_sound.pan(film, tmp_path / "out.mp4", PanOptions(model=tiny))


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_sound_that_jumps_far_ahead_is_left_out(tiny, tmp_path, kind):
    film = films.make_film(
        tmp_path / "a.mkv",
        films.steady(20, 10),
        size=(256, 128),
        sound=films.tone(2.0),
        sound_codec="flac",
        layout="stereo",
        jump=(1.0, 20_000),
    )
    out = tmp_path / f"out.{kind}"
    pano_sound.pan(film, out, PanOptions(model=tiny))
    with av.open(str(out)) as result:
        assert float(result.duration / av.time_base) < 15


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error_in_one_line(film, tiny):
    with pytest.raises(ModelError, match="finds no NVIDIA GPU"):
        pano_sound.analyse(film, AnalyseOptions(model=tiny, device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_map(film, tiny):
    here, there = (pano_sound.analyse(film, AnalyseOptions(model=tiny, device=device)) for device in ("cpu", "cuda"))
    assert there.posterior == pytest.approx(here.posterior, abs=0.02)
    assert there.level_db == pytest.approx(here.level_db)


def test_faults_of_a_sound_field_are_said_of_its_film(tiny, tmp_path, caplog):
    field = np.random.default_rng(0).normal(0, 0.1, (4, 48000)).astype(np.float32)
    field[1:] = field[:1] * np.array([[0.8], [0.0], [0.6]])  # no Z
    film = films.make_film(
        tmp_path / "a.mkv", films.steady(10, 10), size=(128, 64), sound=field, layout="4.0", sound_codec="flac"
    )
    pano_sound.analyse(film, AnalyseOptions(model=tiny, ambisonics="ambix"))
    assert f"{film}: the sound field's Z channel is silent: elevation is unknown" in caplog.messages


def test_a_film_is_named_by_what_is_heard(film, tmp_path):
    from pano_sound.localize.nets.localizer import TINY, Localizer
    from pano_sound.localize.nets.weights import save
    from pano_sound.media.probe import probe
    from pano_sound.pipeline import names_heard
    from pano_sound.pipeline.film import no_progress

    model = Localizer(**TINY, tags=["Guitar", "Train"])
    with torch.no_grad():
        model.tag_head.weight.zero_()
        model.tag_head.bias.copy_(torch.tensor([3.0, -3.0]))
    save(model, tmp_path / "tagged.safetensors", {"name": "tagged", "version": "0"})
    options = AnalyseOptions(model=str(tmp_path / "tagged.safetensors"))
    assert names_heard(probe(film), options, no_progress) == ["guitar"]
    soundmap = pano_sound.analyse(film, options)
    assert [soundmap.named.at(k) for k in range(len(soundmap))] == [["guitar"]] * len(soundmap)
