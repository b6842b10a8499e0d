"""Phrases and notes of sampled instruments: valid MIDI, the same for one seed, and a data folder that gains them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pano_sound.errors import DataFileError, OutputError
from pano_sound.research.datasets import instruments
from pano_sound.research.datasets.examples import read_sound
from pano_sound.research.datasets.extension import RATE, write_opus
from pano_sound.research.datasets.instruments import add, main, render, scaled
from pano_sound.research.datasets.labelled import read_items, read_pairs, read_table
from pano_sound.research.datasets.phrases import INSTRUMENTS, PERCUSSION, note, phrase

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
LABELS = (*INSTRUMENTS, *PERCUSSION)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One sound and three pictures, two of them of instruments."""
    folder = tmp_path / "data"
    (folder / "sounds" / "harp").mkdir(parents=True)
    (folder / "sounds" / "harp" / "1.ogg").write_bytes(b"a harp")
    (folder / "sounds.csv").write_text(
        "file,label,source,group,split,seconds\r\nsounds/harp/1.ogg,harp,us,g,val,1.5\r\n"
    )
    pictures = "".join(f"{label}.png,{label},us,train,,,,,\n" for label in ("tuba", "harp", "dog"))
    (folder / "pictures.csv").write_text("file,label,source,split,x0,y0,x1,y1,box_by\n" + pictures)
    (folder / "pairs.csv").write_text("sound,picture\nharp,harp\n")
    return folder


@pytest.fixture
def soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No soundfont: every phrase is a tone of 0.2 s."""
    tone = np.sin(np.arange(RATE // 5) * 0.1).astype(np.float32)
    monkeypatch.setattr(instruments, "render", lambda midi, font: tone)
    return tmp_path / "Small.sf2"


def parsed(midi: bytes) -> list[tuple[int, bytes]]:
    """Events of a MIDI file of one track, with their times in ms."""
    assert midi[:14] == b"MThd\0\0\0\x06\0\0\0\x01\x01\xf4"
    assert midi[14:18] == b"MTrk"
    assert int.from_bytes(midi[18:22], "big") == len(midi) - 22
    events, at, time = [], 22, 0
    while at < len(midi):
        delta = 0
        while midi[at] & 128:
            delta, at = delta << 7 | midi[at] & 127, at + 1
        time += delta << 7 | midi[at]
        size = 2 if midi[at + 1] >> 4 == 0xC else 3
        events.append((time, midi[at + 1 : at + 1 + size]))
        at += 1 + size
    assert events.pop()[1] == b"\xff\x2f\0"
    return events


@pytest.mark.parametrize("label", LABELS)
def test_phrases_are_midi_within_their_instruments_range(label: str) -> None:
    programs = set()
    for number in range(6):
        events = parsed(phrase(label, number))
        on = [event for _, event in events if event[0] >> 4 == 9]
        off = [event for _, event in events if event[0] >> 4 == 8]
        assert on
        assert sorted(event[1] for event in on) == sorted(event[1] for event in off)
        assert 3_000 < events[-1][0] <= 9_000
        assert all(50 <= event[2] <= 120 for event in on)
        programs |= {event[1] for _, event in events if event[0] >> 4 == 0xC}
        keys = {event[1] for event in on}
        if label in PERCUSSION:
            assert {event[0] & 15 for event in on} == {9}
            assert keys <= set(PERCUSSION[label])
        else:
            about = INSTRUMENTS[label]
            assert all(about.low <= key <= about.high for key in keys - set(about.drones))
    assert programs == (set(INSTRUMENTS[label].programs) if label in INSTRUMENTS else {0})


@pytest.mark.parametrize("label", INSTRUMENTS)
def test_notes_are_of_one_key_near_their_instruments_range(label: str) -> None:
    keys, lengths = set(), set()
    for number in range(40):
        events = parsed(note(label, number))
        on = [event for _, event in events if event[0] >> 4 == 9]
        assert len(on) in (1, 3)
        assert len({event[1] for event in on}) == 1
        keys.add(on[0][1])
        lengths.add(events[-1][0] if len(on) == 1 else 0)
    about = INSTRUMENTS[label]
    assert about.low <= min(keys) <= about.high < max(keys) <= about.high + 12
    assert max(lengths) <= 1500


def test_no_key_begins_while_it_sounds() -> None:
    for label in LABELS:
        sounding = set()
        for _, event in parsed(phrase(label, 1)):
            if event[0] >> 4 == 9:
                assert event[1] not in sounding
                sounding.add(event[1])
            elif event[0] >> 4 == 8:
                sounding.remove(event[1])
        assert not sounding


def test_the_same_seed_gives_the_same_phrase_and_note() -> None:
    assert phrase("piano", 0, 3) == phrase("piano", 0, 3)
    assert len({phrase("piano", number, seed) for number in range(4) for seed in range(4)}) == 16
    assert note("piano", 0, 3) == note("piano", 0, 3)
    assert len({note("piano", number, seed) for number in range(4) for seed in range(4)}) == 16


def test_levels_are_kept_unless_the_sound_would_clip() -> None:
    wave = np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    assert np.sqrt(np.mean(scaled(wave, -20) ** 2)) == pytest.approx(0.1, rel=1e-3)
    wave[0] = 20
    assert np.abs(scaled(wave, -12)).max() == pytest.approx(0.99)


def test_sounds_are_written_as_opus(tmp_path: Path) -> None:
    wave = 0.3 * np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    write_opus(tmp_path / "a.ogg", wave)
    assert (tmp_path / "a.ogg").stat().st_size < 7_000
    read = read_sound(tmp_path / "a.ogg", RATE)
    assert len(read) == pytest.approx(RATE, abs=RATE // 20)
    assert np.sqrt(np.mean(read**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_the_new_folder_has_both_old_and_new_sounds(data: Path, tmp_path: Path, soundfont: Path) -> None:
    out = tmp_path / "new" / "data"
    add(data, out, soundfont, each=2, notes=1)
    items = read_items(out, "sounds")
    assert items[0].path.read_bytes() == b"a harp"
    assert [item.label for item in items[1:]] == [label for label in LABELS for _ in range(2)] + list(INSTRUMENTS)
    assert {item.split for item in items[1:]} == {"train"}
    assert all(len(read_sound(item.path, RATE)) for item in items[1:4])
    row = read_table(out / "sounds.csv")[1]
    assert row["file"] == "sounds/small/small_accordion_000.ogg"
    assert (row["source"], row["group"], row["seconds"]) == ("small", "small_accordion_000", "0.20")
    assert read_pairs(out) == {"harp": ["harp"], "tuba": ["tuba"]}  # No harp twice, no piano without a picture.
    assert sorted(os.listdir(out)) == ["pairs.csv", "pictures.csv", "sounds", "sounds.csv"]
    assert (out / "pictures.csv").is_symlink()
    assert os.listdir(out.parent) == ["data"]
    assert len(read_table(data / "sounds.csv")) == 1
    with pytest.raises(DataFileError, match="already has sounds of the source 'small'"):
        add(out, tmp_path / "third", soundfont, each=1)


def test_a_full_folder_is_refused(data: Path, tmp_path: Path, soundfont: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(OutputError, match="not empty"):
        add(data, tmp_path / "full", soundfont)
    with pytest.raises(OutputError, match="is in the input folder"):
        add(data, data / "new", soundfont)
    done = CliRunner().invoke(main, [str(data), str(tmp_path / "full"), "--soundfont", str(soundfont)])
    assert done.exit_code == 5
    assert done.stderr.count("\n") == 1


def test_without_fluidsynth_or_soundfont_nothing_is_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataFileError, match="there is no such soundfont"):
        add(data, tmp_path / "new", tmp_path / "none.sf2")
    (tmp_path / "empty.sf2").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataFileError, match="fluidsynth cannot be run"):
        add(data, tmp_path / "new", tmp_path / "empty.sf2")
    assert sorted(os.listdir(tmp_path)) == ["data", "empty.sf2"]


@pytest.mark.skipif(not shutil.which("fluidsynth"), reason="needs fluidsynth")
def test_what_is_no_soundfont_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.sf2").touch()
    with pytest.raises(DataFileError, match="fluidsynth made no sound"):
        render(phrase("piano", 0), tmp_path / "empty.sf2")


@pytest.mark.skipif(not shutil.which("fluidsynth") or not SOUNDFONT.exists(), reason="needs fluidsynth and a soundfont")
def test_phrases_are_heard() -> None:
    wave = render(phrase("trumpet", 0), SOUNDFONT)
    assert wave.dtype == np.float32
    assert 4 * RATE < len(wave) <= 10 * RATE
    assert np.abs(wave).max() > 0.01
    assert np.array_equal(wave, render(phrase("trumpet", 0), SOUNDFONT))
