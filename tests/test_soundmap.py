import io
import json
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import pano_sound
from pano_sound import soundmap as soundmap_module
from pano_sound.errors import DataFileError
from pano_sound.soundmap import BEFORE, FORMAT, Named, SoundMap
from pano_sound.sphere.geometry import cell_areas
from pano_sound.spool import Spool, SpooledMaps


@pytest.fixture
def soundmap():
    rng = np.random.default_rng(0)
    posterior = rng.uniform(0, 1, (3, 4, 8))
    posterior *= np.array([0.7, 0.0, 1.0])[:, None, None] / posterior.sum(axis=(1, 2), keepdims=True)
    return SoundMap(
        np.array([0.0, 0.5, 1.0]),
        posterior.astype(np.float16),
        np.array([0.3, 1.0, 0.0], np.float32),
        np.array([-20, -80, -30], np.float32),
        {"path": "é.mp4", "width": 960},
        {"every": 0.5},
        np.array([0.7]),
        {name: rng.normal(size=(3, 4, 8)).astype(np.float16) for name in ("motion", "semantic")},
    )


def test_a_saved_map_loads_unchanged(soundmap, tmp_path):
    soundmap.save(tmp_path / "a.soundmap.npz")
    back = SoundMap.load(tmp_path / "a.soundmap.npz")
    for name in ("times", "posterior", "elsewhere", "level_db", "cuts", "turned"):
        here, there = getattr(soundmap, name), getattr(back, name)
        assert here.dtype == there.dtype
        assert np.array_equal(here, there), name
    assert (back.source, back.settings) == (soundmap.source, soundmap.settings)
    assert back.cues.keys() == soundmap.cues.keys()
    assert all(np.array_equal(back.cues[name], maps) for name, maps in soundmap.cues.items())
    assert [p.name for p in tmp_path.iterdir()] == ["a.soundmap.npz"]


def test_cues_on_disk_are_saved_one_after_the_other(soundmap, tmp_path):
    count = 2000
    few = SoundMap(
        np.arange(count) / 2,
        np.zeros((count, 30, 60), np.float16),
        np.ones(count, np.float32),
        np.full(count, -80, np.float32),
        soundmap.source,
    )
    cues = {f"cue {i}": Spool((30, 60)) for i in range(6)}
    for spool in cues.values():
        spool.extend(np.ones((count, 30, 60), np.float16))
    tracemalloc.start()
    replace(few, cues=SpooledMaps(cues)).save(tmp_path / "a.soundmap.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * few.posterior.nbytes
    assert SoundMap.load(tmp_path / "a.soundmap.npz").cues.keys() == cues.keys()


ABOUT = {"source": {"width": 2, "end": 2.0}, "settings": {}}


def rewrite(path, **change):
    """Replace parts of a file."""
    with np.load(path) as file:
        parts = dict(file)
    np.savez(path, **{**parts, **change})


NAMED = Named(("dog", "guitar"), np.array([[0, 0.9], [0.6, 0.8], [0, 0]], np.float16))


def test_names_load_unchanged(soundmap, tmp_path):
    replace(soundmap, named=NAMED).save(tmp_path / "a.soundmap.npz")
    named = SoundMap.load(tmp_path / "a.soundmap.npz").named
    assert named.names == NAMED.names
    assert np.array_equal(named.scores, NAMED.scores)
    assert ([named.at(k) for k in range(3)], named.heard()) == ([["guitar"], ["guitar", "dog"], []], ["guitar", "dog"])
    soundmap.save(tmp_path / "b.soundmap.npz")
    assert SoundMap.load(tmp_path / "b.soundmap.npz").named is None


def test_a_sound_heard_for_a_moment_does_not_name_the_film():
    scores = np.zeros((10, 2), np.float16)
    scores[:, 0], scores[0, 1] = 0.8, 0.9
    assert Named(("dog", "siren"), scores).heard() == ["dog"]


@pytest.mark.parametrize("names", [("dog",), ("dog", 3), ("dog", "x" * 200)])
def test_names_that_do_not_fit_are_refused(soundmap, tmp_path, names):
    with pytest.raises(ValueError, match=r"names|`named\.scores`"):
        replace(soundmap, named=Named(names, NAMED.scores)).save(tmp_path / "a.soundmap.npz")
    replace(soundmap, named=NAMED).save(tmp_path / "a.soundmap.npz")
    rewrite(tmp_path / "a.soundmap.npz", about=np.array(json.dumps({**ABOUT, "names": names})))
    with pytest.raises(DataFileError):
        SoundMap.load(tmp_path / "a.soundmap.npz")


def test_saliency_is_probability_per_area(soundmap):
    assert soundmap.present() == pytest.approx([0.7, 0, 1])
    areas = cell_areas(4, 8)
    assert (soundmap.saliency() * areas).sum(axis=(1, 2)) == pytest.approx([0.7, 0, 1], abs=2e-3)
    chance = SoundMap(np.zeros(1), areas[None].astype(np.float16), np.zeros(1, np.float32), np.zeros(1, np.float32))
    assert chance.saliency() == pytest.approx(1, abs=2e-3)


RESPONSES = np.random.default_rng(1).uniform(-0.3, 0.5, (3, 30, 60)).astype(np.float16)
LEVELS = np.array([-20, -80, -30], np.float32)


def first_format(path, **change):
    """A file in the first format."""
    about = {"source": {"path": "a.mp4", "width": 960}, "settings": {"model": "base"}}
    about |= {"temperature": 0.07, "presence": [12.0, 0.2]}
    parts = {"format": np.array("pano-sound.soundmap/1"), "times": np.arange(3.0), "response": RESPONSES}
    parts |= {"level_db": LEVELS, "cuts": np.array([1.5]), "about": np.array(json.dumps(about))}
    np.savez(path, **(parts | change))


def test_files_of_the_first_format_keep_their_meaning(tmp_path):
    """The attention by mechanism 2 (equation 3) over the learnt temperature, where presence says that it sounds."""
    first_format(tmp_path / "a.npz")
    found = SoundMap.load(tmp_path / "a.npz")
    raw = np.maximum(RESPONSES.astype(float), 0) / 0.07
    attention = np.exp(raw) / np.exp(raw).sum(axis=(1, 2), keepdims=True)
    shown = found.saliency()[[0, 2]]
    assert shown / shown.sum(axis=(1, 2), keepdims=True) == pytest.approx(attention[[0, 2]], rel=0.05, abs=2e-5)
    assert found.elsewhere[1] == 1
    assert (found.posterior[1] == 0).all()
    assert found.posterior.sum(axis=(1, 2), dtype=float) + found.elsewhere == pytest.approx(1, abs=0.01)
    assert found.cuts == pytest.approx([1.5])
    assert (found.source["width"], found.settings) == (960, {"model": "base"})
    assert BEFORE == "pano-sound.soundmap/1"
    found.save(tmp_path / "b.npz")
    assert np.array_equal(SoundMap.load(tmp_path / "b.npz").posterior, found.posterior)


@pytest.mark.parametrize(
    "change",
    [
        {"response": RESPONSES[:2]},
        {"response": RESPONSES[0]},
        {"response": np.full((3, 30, 60), np.nan, np.float16)},
        {"level_db": np.zeros(2, np.float32)},
        {"about": np.array('{"source": {"width": 2}, "settings": {}, "temperature": 0, "presence": [1, 0]}')},
        {"about": np.array('{"source": {"width": 2}, "settings": {}, "temperature": 0.1, "presence": [[], 0]}')},
        {"about": np.array('{"source": {"width": 2}, "settings": {}}')},
        {"about": np.array(f'{{"source": {{}}, "settings": {{}}, "temperature": 1{"0" * 400}, "presence": [1, 0]}}')},
    ],
)
def test_damaged_files_of_the_first_format_are_refused(tmp_path, change):
    first_format(tmp_path / "a.npz", **change)
    with pytest.raises(DataFileError):
        SoundMap.load(tmp_path / "a.npz")


def test_presence_is_the_learnt_curve_of_the_highest_response():
    response = np.full((3, 30, 60), -0.2, np.float16)
    response[0, 15, 30], response[1, 15, 28:32] = 0.2, 0.6
    found = SoundMap.of_responses(np.arange(3.0), response, np.zeros(3, np.float32), 0.07, (12.0, 0.2))
    # One cell of 1,800 counts 0.03 * ln(1800) less than its response, four cells 0.03 * ln(450) less.
    want = [1 / (1 + np.exp(-12 * (best - 0.2))) for best in (0.2 - 0.2249, 0.6 - 0.1833, -0.2)]
    assert found.present() == pytest.approx(want, abs=0.01)


def about(source):
    return np.array(f'{{"source": {source}, "settings": {{}}}}')


@pytest.mark.parametrize(("end", "fits"), [(2.0, True), (1.0, False), (0.5, False), (None, False)])
def test_a_film_of_one_frame_ends_after_it(tmp_path, end, fits):
    maps = np.full((1, 4, 8), 1 / 32, np.float16)
    one = SoundMap(np.ones(1), maps, *np.zeros((2, 1), np.float32), ABOUT["source"], {})
    one.save(tmp_path / "a.npz")
    source = {"width": 2} | ({} if end is None else {"end": end})
    rewrite(tmp_path / "a.npz", about=np.array(json.dumps({"source": source, "settings": {}})))
    if fits:
        assert len(SoundMap.load(tmp_path / "a.npz")) == 1
        replace(one, source=source).save(tmp_path / "b.npz")
    else:
        with pytest.raises(DataFileError, match="it lasts no time"):
            SoundMap.load(tmp_path / "a.npz")
        with pytest.raises(ValueError, match="it lasts no time"):
            replace(one, source=source).save(tmp_path / "b.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"format": np.array("pano-sound.soundmap/9")},
        {"times": np.array([0.0, 0.5])},
        {"times": np.array([0.0, 0.5, 0.5])},
        {"posterior": np.zeros((3, 4))},
        {"posterior": np.zeros((3, 4, 8))},
        {"posterior": np.full((3, 4, 8), -0.1)},
        {"elsewhere": np.ones(3, np.float32)},
        {"elsewhere": np.ones((3, 1), np.float32)},
        {"elsewhere": np.array([0.3, np.nan, 0.0], np.float32)},
        {"cues/motion": np.zeros((3, 4, 9), np.float16)},
        {"cues/motion": np.full((3, 4, 8), np.inf, np.float16)},
        {"cuts": np.array([0.7, 0.7])},
        {"turned": np.zeros(5, np.float32)},
        {"turned": np.array([np.nan] * 3, np.float32)},
        {"turned": np.array([0, 1e30, 0], np.float32)},
        {"about": np.array("{}")},
        {"posterior": np.full((3, 4, 8), np.nan)},
        {"level_db": np.zeros(2)},
        {"about": np.array('{"source": {"width": 2}, "settings": []}')},
        {"about": np.array('{"source": [], "settings": {}}')},
        {"times": np.array(0.0)},
        {"times": np.array([-np.inf, 0.5, 1.0])},
        {"times": np.array([0.0, 0.5, 1e12])},
        {"level_db": np.array([0, np.nan, 0], np.float32)},
        {"about": about('{"width": 0}')},
        {"about": about('{"width": 2, "end": "x"}')},
        {"about": about('{"width": 2, "end": 1e9}')},
        {"about": about('{"width": 2, "covers": [1]}')},
        {"about": about('{"width": 2, "covers": [-90, 90, 100, 180]}')},
        {"about": about('{"width": 2, "covers": [90, -90, -45, 45]}')},
        {"times": np.array(["0", "1", "2"])},
        {"level_db": np.zeros(3, complex)},
        {"posterior": np.zeros((3, 4, 8), "U3")},
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


def test_other_compression_than_numpys_is_refused(soundmap, tmp_path):
    soundmap.save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as good, zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_LZMA) as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name))
    whole = (tmp_path / "b.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(whole[:50] + bytes(b ^ 0xFF for b in whole[50:54]) + whole[54:])
    with pytest.raises(DataFileError, match="not a sound map, or damaged"):
        SoundMap.load(tmp_path / "b.npz")


def header(shape, descr="<f2"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_a_part_of_less_than_nothing_makes_no_room_for_others(soundmap, tmp_path, monkeypatch):
    monkeypatch.setattr(soundmap_module, "_MOST_READ", 1 << 20)
    soundmap.save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a", 8) as file:
        file.writestr("cues/other.npy", header((3, 1000, 1000)) + bytes(6_000_000))
        file.writestr("unused.npy", header((-(10**9), 1)))
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError):
            SoundMap.load(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("part", ["posterior.npy", "cues/motion.npy", "times.npy", "about.npy"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(header((1 << 20, 30, 60)), id="4 GB that are not there"),
        pytest.param(header((2**40, 2**40, 1)), id="more than any machine has"),
        pytest.param(header((3, 1 << 11, 1 << 11)) + bytes(24 << 20), id="maps of too many cells"),
        pytest.param(header((-1, 4, 8)), id="less than none"),
        pytest.param(header((3, 4, 8), "|O"), id="objects"),
        pytest.param(header((3,)).replace(b"descr", b"d(scr"), id="a header that is no Python"),
        pytest.param(header((3,)).replace(b"(3,)", b"(3,\\"), id="a header that breaks off"),
        pytest.param(b"\x93NUMPY\x07\x00" + bytes(100), id="a version to come"),
        pytest.param(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", id="a header of 2 GB"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_headers_that_lie_are_refused_before_memory_is_taken(soundmap, tmp_path, part, content):
    soundmap.save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as good, zipfile.ZipFile(tmp_path / "b.npz", "w", 8) as bad:
        for name in good.namelist():
            bad.writestr(name, content if name == part else good.read(name))
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError):
            SoundMap.load(tmp_path / "b.npz")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("near", "far", "elsewhere", "expected"), [(0.9, 0.1, 0.0, 0.9), (0.4, 0.1, 0.5, 0.4), (0.0, 0.0, 1.0, 0.0)]
)
def test_sureness_is_the_probability_around_the_likeliest_direction(near, far, elsewhere, expected):
    posterior = np.zeros((1, 30, 60), np.float16)
    posterior[0, 15, [59, 0, 3]] = near / 3  # Across the seam.
    posterior[0, 15, 30] = far
    soundmap = SoundMap(np.zeros(1), posterior, np.full(1, elsewhere, np.float32), np.full(1, -20, np.float32))
    assert soundmap.sureness() == pytest.approx([expected], abs=1e-3)


def test_an_even_map_is_unsure():
    even = cell_areas(30, 60)[None].astype(np.float16)
    soundmap = SoundMap(np.zeros(1), even, np.zeros(1, np.float32), np.full(1, -20, np.float32))
    # A cap of 30° is 6.7 % of the sphere.
    assert soundmap.sureness() == pytest.approx([0.067], abs=0.007)


def test_a_sound_map_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(path, **_):  # Root may read anything.
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "a.soundmap.npz"
    path.write_bytes(b"theirs")
    monkeypatch.setattr("pano_sound.soundmap._check_sizes", refuse)
    with pytest.raises(DataFileError, match=r"cannot be read: Permission denied$"):
        SoundMap.load(path)


def test_what_names_no_file_is_not_called_damaged():
    with pytest.raises(TypeError, match="NoneType"):
        SoundMap.load(None)


def test_what_could_not_be_read_again_is_not_saved(soundmap, tmp_path):
    rows = slice(2)
    for change, word in (
        ({"posterior": soundmap.posterior[rows]}, "`posterior` has the shape"),
        ({"posterior": soundmap.posterior[0]}, "`posterior` must hold a map"),
        ({"posterior": soundmap.posterior.astype(str)}, "`posterior` must be an array of numbers"),
        ({"posterior": np.full_like(soundmap.posterior, np.nan)}, "not finite"),
        ({"posterior": 2 * soundmap.posterior}, "do not add up to 1"),
        ({"posterior": soundmap.posterior - np.eye(4, 8)}, "probabilities in `posterior` are negative"),
        ({"elsewhere": -soundmap.elsewhere}, "probabilities in `elsewhere` are negative"),
        ({"times": None}, "`times` must be an array of numbers"),
        ({"turned": None}, "`turned` must be an array of numbers"),
        ({"level_db": [-20, None, -30]}, "`level_db` must be an array of numbers"),
        ({"times": soundmap.times[::-1]}, "`times` must grow"),
        ({"times": np.empty(0)}, "at least one"),
        ({"times": soundmap.times[rows]}, "`posterior` has the shape"),
        ({"cuts": [np.nan]}, "numbers of `cuts` are not finite"),
        ({"turned": np.zeros(2)}, "`turned` has the shape"),
        ({"cues": None}, "`cues`"),
        ({"cues": {"motion": soundmap.posterior[rows]}}, "the cue 'motion'"),
        ({"named": Named(("dog",), NAMED.scores)}, "`named.scores`"),
        ({"source": None}, "`source` and `settings` must be dictionaries"),
        ({"settings": None}, "`source` and `settings` must be dictionaries"),
        ({"source": {"width": None}}, "`source` states what no film has"),
        ({"source": {"width": 2, "end": None}}, "`source` states what no film has"),
        ({"source": {"width": 2, "covers": 5}}, "`source` states what no film has"),
        ({"source": {}}, "its source lacks the width"),
        ({"settings": {"a": {1}}}, "source or settings"),
    ):
        with pytest.raises(ValueError, match=word) as error:
            replace(soundmap, **change).save(tmp_path / "a.npz")
        assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_lists_and_other_numbers_are_saved_as_the_file_has_them(soundmap, tmp_path):
    changed = replace(
        soundmap,
        times=[0, 1, 2],
        posterior=soundmap.posterior.tolist(),
        level_db=[-20, -80, -30],
        cuts=np.array([1]),
        turned=[0, 0, 0],
    )
    changed.save(tmp_path / "a.npz")
    back = SoundMap.load(tmp_path / "a.npz")
    assert (back.times.tolist(), back.cuts.tolist(), back.posterior.dtype) == ([0, 1, 2], [1], np.float16)
    assert np.array_equal(back.posterior, soundmap.posterior)


def test_numpys_numbers_are_saved(soundmap, tmp_path):
    covers = np.array([-90, 90, -45, 45])
    changed = replace(
        soundmap,
        times=np.arange(3, dtype=np.uint8),
        source={"width": np.int64(2), "height": np.int32(1), "end": np.float32(2.5), "covers": covers},
        settings={"every": np.float32(0.5), "spans": (np.int64(1), 2)},
        cues={"motion": np.ones((3, 4, 8), int)},
        named=Named(("dog",), np.array([[0], [1], [0]])),
    )
    changed.save(tmp_path / "a.npz")
    back = SoundMap.load(tmp_path / "a.npz")
    assert back.source == {"width": 2, "height": 1, "end": 2.5, "covers": [-90, 90, -45, 45]}
    assert back.settings == {"every": 0.5, "spans": [1, 2]}
    assert (back.times.tolist(), back.cues["motion"].dtype, back.named.heard()) == ([0, 1, 2], np.float16, ["dog"])


def test_what_rounding_leaves_below_0_is_no_mistake(soundmap, tmp_path):
    posterior = soundmap.posterior.copy()
    posterior[2, 0, 0] += np.float16(5e-4)
    changed = replace(soundmap, posterior=posterior, elsewhere=1 - posterior.sum(axis=(1, 2)))
    assert changed.elsewhere.min() < 0
    pano_sound.plan(changed)
    changed.save(tmp_path / "a.npz")
    assert SoundMap.load(tmp_path / "a.npz").present().max() > 1


@pytest.mark.parametrize(
    "change",
    [
        {"posterior": -np.ones((3, 4, 8))},
        {"source": None},
        {"source": {"width": None}},
        {"source": {"width": 960, "end": None}},
        {"turned": None},
    ],
)
def test_parts_that_planning_cannot_use_are_refused(soundmap, change):
    with pytest.raises(ValueError, match=r"^the sound map cannot be used: "):
        pano_sound.plan(replace(soundmap, **change))
