import numpy as np
import pytest

from pano_sound.errors import DataFileError
from pano_sound.soundmap import FORMAT, SoundMap


@pytest.fixture
def soundmap():
    rng = np.random.default_rng(0)
    response = rng.uniform(-1, 1, (3, 4, 8)).astype(np.float16)
    levels = np.array([-20, -80, -30], np.float32)
    return SoundMap(
        np.array([0.0, 0.5, 1.0]), response, levels, 0.1, (10.0, 0.2), {"path": "é.mp4", "width": 960}, {"every": 0.5}
    )


def test_a_saved_map_comes_back(soundmap, tmp_path):
    soundmap.save(tmp_path / "a.soundmap.npz")
    back = SoundMap.load(tmp_path / "a.soundmap.npz")
    assert (back.response == soundmap.response).all()
    assert (back.times == soundmap.times).all()
    assert (back.source, back.settings, back.presence) == (soundmap.source, soundmap.settings, (10.0, 0.2))
    assert [p.name for p in tmp_path.iterdir()] == ["a.soundmap.npz"]


def test_both_mechanisms_by_hand():
    response = np.array([[[0.2, -0.4]]], np.float16)
    soundmap = SoundMap(np.zeros(1), response, np.zeros(1, np.float32), 0.2, (0, 1))
    assert soundmap.saliency(1)[0, 0, 0] == pytest.approx(1 / (1 + np.exp(-0.6 / 0.2)), abs=1e-3)
    assert soundmap.saliency(2)[0, 0, 0] == pytest.approx(1 / (1 + np.exp(-0.2 / 0.2)), abs=1e-3)


def test_confidence_is_the_learnt_curve_of_the_highest_response():
    response = np.full((3, 30, 60), -0.2, np.float16)
    response[0, 15, 30], response[1, 15, 28:32] = 0.2, 0.6
    soundmap = SoundMap(np.arange(3.0), response, np.zeros(3, np.float32), 0.07, (12.0, 0.2))
    # One cell of 1,800 counts 0.03 * ln(1800) less than its response, four cells 0.03 * ln(450) less.
    want = [1 / (1 + np.exp(-12 * (best - 0.2))) for best in (0.2 - 0.2249, 0.6 - 0.1833, -0.2)]
    assert soundmap.confidence() == pytest.approx(want, abs=0.01)


def test_confidence_is_nothing_in_silence(soundmap):
    assert soundmap.confidence()[1] == 0
    assert (soundmap.confidence()[[0, 2]] > 0).all()


def about(source):
    return np.array(f'{{"temperature": 0.1, "presence": [1, 0], "source": {source}, "settings": {{}}}}')


@pytest.mark.parametrize(
    "change",
    [
        {"format": np.array("pano-sound.soundmap/9")},
        {"times": np.array([0.0, 0.5])},
        {"times": np.array([0.0, 0.5, 0.5])},
        {"response": np.zeros((3, 4))},
        {"about": np.array("{}")},
        {"response": np.full((3, 4, 8), np.nan)},
        {"level_db": np.zeros(2)},
        {"about": np.array('{"temperature": 0.1, "presence": [[], 0], "source": {"width": 2}, "settings": {}}')},
        {"about": np.array('{"temperature": 0.1, "presence": [1, 0], "source": {"width": 2}, "settings": []}')},
        {"times": np.array(0.0)},
        {"times": np.array([-np.inf, 0.5, 1.0])},
        {"times": np.array([0.0, 0.5, 1e12])},
        {"level_db": np.array([0, np.nan, 0], np.float32)},
        {"about": about('{"width": 0}')},
        {
            "about": np.array(
                '{"temperature": 0.1, "presence": [1, 0], "source": {"width": 2, "end": "x"}, "settings": {}}'
            )
        },
        {
            "about": np.array(
                '{"temperature": 0.1, "presence": [1, 0], "source": {"width": 2, "end": 1e9}, "settings": {}}'
            )
        },
        {
            "about": np.array(
                '{"temperature": 0.1, "presence": [1, 0], "source": {"width": 2, "covers": [1]}, "settings": {}}'
            )
        },
        {"times": np.array(["0", "1", "2"])},
        {"level_db": np.zeros(3, complex)},
        {"response": np.zeros((3, 4, 8), "U3")},
        {"about": np.array("not json")},
        {"about": np.array({"a": 1}, dtype=object)},
    ],
)
def test_files_that_do_not_fit_are_refused(soundmap, tmp_path, change):
    soundmap.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as good:
        parts = dict(good)
    assert str(parts["format"]) == FORMAT
    np.savez(tmp_path / "b.npz", **{**parts, **change})
    with pytest.raises(DataFileError):
        SoundMap.load(tmp_path / "b.npz")


def test_flipped_bytes_are_refused_or_harmless(soundmap, tmp_path):
    soundmap.save(tmp_path / "a.npz")
    good = (tmp_path / "a.npz").read_bytes()
    for at in range(0, len(good) - 8, 37):
        (tmp_path / "b.npz").write_bytes(good[:at] + bytes(b ^ 0xFF for b in good[at : at + 8]) + good[at + 8 :])
        try:
            SoundMap.load(tmp_path / "b.npz")
        except DataFileError:
            continue
