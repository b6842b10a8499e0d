"""Batches lose nothing: no input is ever replaced, and no file of others without -y."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import films
import pytest

from pano_sound.errors import DataFileError, DiskError, InputError, ModelError, OutputError, PanoSoundError
from pano_sound.library import film_maker, schema, work
from pano_sound.library.estimate import estimate
from pano_sound.library.intake import Library
from pano_sound.library.job import Job
from pano_sound.library.manifest import Manifest
from pano_sound.library.ownership import put_result
from pano_sound.library.pool import record_outcome, say_warnings
from pano_sound.options.batch import BatchOptions
from pano_sound.options.steps import PanOptions


def silent(stage, done, total):
    pass


@pytest.fixture
def options(tiny):
    return PanOptions(model=tiny, every=0.2, size="64x64", encoder_preset="ultrafast")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return films.make_film(tmp_path_factory.mktemp("clip") / "a.mp4", size=(128, 64), sound=films.tone(0.4))


@pytest.fixture
def card(tmp_path, clip, monkeypatch) -> Path:
    """A folder with two films, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "card"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(clip.read_bytes() + b"\0" * (name == "b.mp4"))
    return folder


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def films_in(folder):
    return {name: data for name, data in content(folder).items() if ".pano-sound" not in name}


def take_in(sources, out, options, overwrite=False, inputs=(), **settings):
    with Library.open(str(out), BatchOptions(**settings)) as library:
        library.take_in([str(s) for s in sources], [], options, overwrite, inputs)
        return library.manifest.count(library.run)


def make(library, folder, reports=False):
    """Make one film as a worker does."""
    manifest = library.manifest
    row = manifest.claim(library.run, library.run)
    own = manifest.owned_files(row.output)
    settings = manifest.settings(row.settings)
    job = Job(row, settings, library.out.root, library.soundmaps.root, manifest.contents(row.files), own, reports)
    found = work.attempt(job, folder / "scratch", silent, lambda made: manifest.record_pending(row, made))
    return row, found, None if found.state == "broken" else record_outcome(manifest, row, found)


CLASHES = {
    "the folder of the inputs": lambda card: ([card], card, {}),
    "the folder of one input": lambda card: ([card / "a.mp4"], card, {}),
    "a pattern": lambda card: ([card / "*.mp4"], card, {}),
    "a link to the folder": lambda card: ([card], link(card, card.parent / "link"), {}),
    "a link to the input": lambda card: ([card], linked(card, os.symlink), {}),
    "a hard link to the input": lambda card: ([card], linked(card, os.link), {}),
    "a folder above": lambda card: ([card], card.parent, {"name": "card/{stem}.mp4"}),
    "an input of another name": lambda card: ([card / "a.mp4", renamed(card)], card, {"name": "{stem}-flat.mp4"}),
    "a URL": lambda card: ([card], f"file://{card}", {}),
}


def link(target, name):
    name.symlink_to(target, target_is_directory=True)
    return name


def linked(card, how):
    out = card.parent / "out"
    out.mkdir()
    how(card / "b.mp4", out / "b.mp4")
    return out


def renamed(card):
    return (card / "b.mp4").rename(card / "a-flat.mp4")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("clash", CLASHES)
def test_an_input_is_never_replaced(card, options, clash, overwrite):
    sources, out, settings = CLASHES[clash](card)
    before = films_in(card.parent)
    with pytest.raises(OutputError, match="is an input, which is never replaced") as error:
        take_in(sources, out, options, overwrite, **settings)
    assert error.value.path.endswith(".mp4")
    assert films_in(card.parent) == before


REFUSED = {
    "an input in the way": lambda card: ([card], card),
    "no such film": lambda card: ([card / "none.mp4"], card / "out" / "of" / "it"),
    "a foreign file": lambda card: ([card], card.parent / "theirs"),
    "an unknown model": lambda card: ([card], card.parent / "new"),
}


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.parametrize("maps", [None, "maps/of/it", "https://example.com/maps"])
def test_a_refused_batch_leaves_nothing_behind(card, options, monkeypatch, why, maps):
    monkeypatch.chdir(card.parent)
    (card.parent / "theirs").mkdir()
    (card.parent / "theirs" / "a.mp4").write_text("theirs")
    before = sorted(card.parent.rglob("*"))
    sources, out = REFUSED[why](card)
    with pytest.raises(PanoSoundError):
        take_in(sources, out, replace(options, model="none") if "model" in why else options, soundmaps=maps)
    assert [p for p in sorted(card.parent.rglob("*")) if "cache" not in p.parts] == before


def test_a_batch_that_another_run_forbids_leaves_no_folder_of_sound_maps(card, options, tmp_path):
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card)], [], options)
        maps = tmp_path / "maps" / "of it"
        with pytest.raises(PanoSoundError, match="another run is making this film with other options"):
            take_in([card], tmp_path / "out", replace(options, size="64x96"), soundmaps=str(maps))
    assert not maps.parent.exists()


def test_a_refused_batch_removes_nothing_of_another(card, options, tmp_path):
    """Two runs start at once; the one that created the manifest has nothing to do."""
    with Library.open(str(tmp_path / "out")) as idle:
        other = Library.open(str(tmp_path / "out"))
        idle.close()
        other.take_in([str(card)], [], options)
        assert other.manifest.is_there()
        other.close()
    with Library.open(str(tmp_path / "out"), create=False) as library:
        assert library.manifest.count()["waiting"] == 2


def test_a_run_that_starts_as_the_manifest_is_removed_creates_another(card, options, tmp_path, monkeypatch):
    idle = [Library.open(str(tmp_path / "out"))]
    opened = Manifest.__init__

    def open_and_let_the_idle_one_leave(self, *args, **more):
        opened(self, *args, **more)
        while idle:
            idle.pop().close()

    monkeypatch.setattr(Manifest, "__init__", open_and_let_the_idle_one_leave)
    with Library.open(str(tmp_path / "out")) as library:
        assert library.manifest.is_there()
        library.take_in([str(card)], [], options)
        assert library.manifest.count()["waiting"] == 2


def test_other_files_that_are_read_are_not_replaced_either(card, options, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    weights = out / "a.mp4"
    os.link(options.model, weights)
    with pytest.raises(OutputError, match="is an input"):
        take_in([card], out, options, overwrite=True)
    weights.unlink()
    (out / "report.jsonl").write_text("a.mp4\n")
    with pytest.raises(OutputError, match="is an input"):
        take_in([card], out, options, overwrite=True, inputs=[str(out / "report.jsonl")])
    (out / "report.jsonl").unlink()
    with pytest.raises(OutputError, match="is an input"):
        take_in([card], out, options, overwrite=True, manifest=str(out / "b.mp4"))


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "a.path.json", "report.html", "report.jsonl", "A.MP4"])
def test_foreign_files_are_only_replaced_when_asked(card, options, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("theirs")
    if name == "A.MP4":  # Where that is another name, it is in nobody's way.
        assert (out / "a.mp4").exists() or take_in([card], out, options)["waiting"] == 2
        return
    with pytest.raises(OutputError, match=r"this batch did not write it.*-y|overwrite"):
        take_in([card], out, options)
    assert films_in(out) == {name: b"theirs"}
    assert take_in([card], out, options, overwrite=True)["waiting"] == 2
    assert films_in(out) == {name: b"theirs"}
    assert take_in([card], out, options)["waiting"] == 2


@pytest.mark.parametrize("name", ["a.mp4", "a.path.json", "report.html"])
def test_a_link_to_nothing_is_only_replaced_when_asked(card, options, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).symlink_to("nothing")
    with pytest.raises(OutputError, match="this batch did not write it"):
        take_in([card], out, options)
    with Library.open(str(out)) as library:
        library.take_in([str(card / "a.mp4")], [], options, overwrite=True)
        assert make(library, tmp_path)[2] == "done"
        library.report()
    assert (out / name).is_file()
    assert not (out / name).is_symlink()


def test_results_beside_the_films_are_not_taken_for_films(card, options):
    (card / "100GOPRO").mkdir()
    (card / "b.mp4").rename(card / "100GOPRO" / "b.mp4")
    before = films_in(card)
    rule = "{folder}/{stem}-flat.mp4"
    with Library.open(str(card), BatchOptions(name=rule)) as library:
        library.take_in([str(card)], [], options)
        assert {make(library, card.parent)[2] for _ in range(2)} == {"done"}
        library.report()
    after = films_in(card)
    assert before.items() <= after.items()
    assert {"a-flat.mp4", "100GOPRO/b-flat.mp4"} <= set(after)
    counts = take_in([card], card, options, name=rule)
    assert (counts["done"], sum(counts.values())) == (2, 2)


def test_files_that_appear_or_change_during_the_run_are_kept(card, options, tmp_path):
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card)], [], options)
        (tmp_path / "out" / "a.mp4").write_text("theirs")
        (tmp_path / "out" / "b.path.json").symlink_to(card / "b.mp4")
        found = {
            row.output: (outcome.state, outcome.error) for row, outcome, _ in (make(library, tmp_path) for _ in "ab")
        }
    assert {state for state, _ in found.values()} == {"failed"}
    assert all("appeared" in error and "kept" in error for _, error in found.values())
    assert (tmp_path / "out" / "a.mp4").read_text() == "theirs"
    assert (card / "b.mp4").read_bytes()[:4] != b'{\n "'
    assert (tmp_path / "out" / "b.path.json").is_symlink()


def test_changed_results_are_kept_and_own_ones_replaced(card, options, tmp_path, caplog):
    out = tmp_path / "out"
    with Library.open(str(out)) as library:
        library.take_in([str(card)], [], options)
        assert [make(library, tmp_path)[2] for _ in range(2)] == ["done", "done"]
    edited = (out / "a.path.json").read_bytes() + b"\n"
    (out / "a.path.json").write_bytes(edited)
    assert take_in([card], out, options)["done"] == 2  # Nothing is to be made.
    with pytest.raises(OutputError, match="this batch did not write it"):
        take_in([card], out, replace(options, fov=60))
    assert (out / "a.path.json").read_bytes() == edited
    (out / "a.path.json").unlink()
    os.utime(out / "b.mp4")
    with Library.open(str(out)) as library:
        library.take_in([str(card)], [], replace(options, fov=60))
        assert [make(library, tmp_path)[2] for _ in range(2)] == ["done", "done"]
        library.report()
        library.report()
    (out / "report.html").write_text("theirs")
    with Library.open(str(out)) as library, pytest.raises(OutputError, match="has appeared or changed"):
        library.report()


def test_the_commands_of_a_page_replace_no_other_results(card, options, tmp_path):
    """Those of films with equal names lie in one folder."""
    for name in "ab":
        (card / name).mkdir()
        (card / f"{name}.mp4").rename(card / name / "clip.mp4")
    with Library.open(str(tmp_path / "out"), BatchOptions(reports=True, name="{stem}.mp4")) as library:
        library.take_in([str(card)], [], options)
        assert [make(library, tmp_path, reports=True)[2] for _ in range(2)] == ["done", "done"]
    for name in ("clip", "clip-2"):
        text = (tmp_path / "out" / f"{name}.report.html").read_text()
        for word in (f" --pins {name}.pins.json ", f" -o {name}.soundmap.npz", f" -o {name}.path.json -y"):
            assert word in text
        assert f'"pins_file": "{name}.pins.json"' in text


@pytest.mark.parametrize("name", ["a.mp4", "a.path.json", "a.report.html"])
def test_a_file_of_a_result_that_was_changed_or_deleted_is_noticed(card, options, tmp_path, caplog, name):
    out = tmp_path / "out"
    with Library.open(str(out), BatchOptions(reports=True)) as library:
        library.take_in([str(card)], [], options)
        assert [make(library, tmp_path, reports=True)[2] for _ in range(2)] == ["done", "done"]
    made = (out / name).read_bytes()
    caplog.clear()
    os.utime(out / name)
    assert (take_in([card], out, options)["done"], caplog.messages) == (2, [])
    (out / name).write_bytes(made[:-1] + b" ")
    assert take_in([card], out, options)["done"] == 2
    assert [message.partition(": ")[0] for message in caplog.messages] == [str(out / name)]
    assert "is kept" in caplog.text
    with Library.open(str(out)) as library:
        library.take_in([str(card)], [], options, overwrite=True)
        assert library.manifest.count()["waiting"] == 1
        assert make(library, tmp_path, reports=True)[2] == "done"
    caplog.clear()
    assert (out / name).read_bytes() == made
    assert (take_in([card], out, options)["done"], caplog.messages) == (2, [])
    (out / name).unlink()
    assert take_in([card], out, options)["waiting"] == 1


def test_a_result_put_in_place_before_a_crash_is_ours(card, options, tmp_path):
    out = tmp_path / "out"
    with Library.open(str(out)) as library:
        library.take_in([str(card)], [], options)
        manifest = library.manifest
        row = manifest.claim(library.run, library.run)
        settings = manifest.settings(row.settings)
        job = Job(row, settings, library.out.root, library.soundmaps.root, {}, {})
        assert (
            work.attempt(job, tmp_path / "scratch", silent, lambda m: manifest.record_pending(row, m)).state == "done"
        )
        # Nobody notes that it is done.
    assert take_in([card], out, replace(options, fov=60))["waiting"] == 2


@pytest.mark.parametrize(
    ("rule", "codec", "says"),
    [
        (".pano-sound/{stem}.mp4", None, "folder .pano-sound is for the batch's own files"),
        ("a/../.pano-sound/{stem}.mp4", None, "no '..'"),
        ("../{stem}.mp4", None, "no '..'"),
        ("/tmp/{stem}.mp4", None, "no '/' at its beginning"),
        ("a.mp4", None, "must hold {stem}"),
        ("{stem}/{size}.mp4", None, "must hold {stem}"),
        *((rule, None, "nothing else in braces") for rule in ("{stem:.7}.mp4", "{stem!r}.mp4", "{stem[x]}.mp4")),
        ("{stem}}.mp4", None, "nothing else in braces"),
        ("{stem}", None, "has no extension (use one of .mp4, "),
        ("{stem}.webm", None, "cannot write '.webm' files (use one of .mp4, "),
        ("{stem}.mp4", "prores_ks", "cannot be written into .mp4 files (use .mov or .mkv)"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_its_fault(card, options, tmp_path, rule, codec, says):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((OutputError, ValueError), match=re.escape(says)):
        take_in([card], tmp_path / "out", replace(options, codec=codec, encoder_preset=None), name=rule)
    assert [path for path in sorted(tmp_path.rglob("*")) if "cache" not in path.parts] == before


@pytest.mark.parametrize("what", ["nothing", "text", "a database", "a manifest's log"])
def test_a_manifest_in_a_foreign_file_is_refused(card, options, tmp_path, what):
    at = tmp_path / "mine.sqlite"
    if what == "nothing":
        at.write_bytes(b"")
    elif what == "text":
        at.write_text("theirs" * 1000)
    elif what == "a database":
        with sqlite3.connect(at) as db:
            db.execute("CREATE TABLE theirs (a)")
    else:
        Path(f"{at}-wal").write_text("theirs")
    before = content(tmp_path)
    with pytest.raises(PanoSoundError) as error:
        take_in([card], tmp_path / "out", options, manifest=str(at))
    assert isinstance(error.value, OutputError if what == "a manifest's log" else DataFileError)
    assert {n: d for n, d in content(tmp_path).items() if n in before} == before


def test_folders_beside_a_manifest_are_left_alone(batch, card):
    """A user's folders may have the names of a batch's own."""
    mine = [batch.folder / "mine" / name for name in ("work/holiday/a.mp4", "alive/mine.lock")]
    for file in mine:
        file.parent.mkdir(parents=True)
        file.write_text("mine")
    (batch.folder / "mine" / "films").mkdir()
    shutil.copy(card / "a.mp4", batch.folder / "mine" / "films")
    assert batch("mine/films", "-o", "out", "--manifest", "mine/made.sqlite").returncode == 0
    assert [file.read_text() for file in mine] == ["mine", "mine"]
    assert {path.name for path in (batch.folder / "mine").iterdir() if path.name[0] != "."} == {
        "work", "alive", "films", "made.sqlite"
    }  # fmt: skip


@pytest.fixture
def finished(card, options, tmp_path):
    """A folder in which one of two films is finished."""
    out = tmp_path / "out"
    with Library.open(str(out)) as library:
        library.take_in([str(card)], [], options)
        assert make(library, tmp_path)[2] == "done"
    return out


DAMAGE = {
    "output='../../x.mp4'": "inside the folder",
    "output='/x.mp4'": "inside the folder",
    "output='.pano-sound/x.mp4'": "inside the folder",
    "output=''": "inside the folder",
    "output=x'00'": "not text",
    "files='[]'": "no films are named",
    "files='{}'": "no films are named",
    "files='[[1, null]]'": "not text",
    "files='[[\"a\", [1]]]'": "not a stamp",
    'files=\'[["a", [-1, "b"]]]\'': "not a count",
    "files='nonsense'": "Expecting value",
    "state='flying'": "is not one of",
    "state=7": "is not one of",
    "state='done', stamp=NULL": "not recorded",
    "stamp='7'": "not a stamp",
    "made='[]'": "made",
    'made=\'{"bytes": "many"}\'': "made",
    "attempts='many'": "not a count",
    "tries=-1": "not a count",
    "queued='yesterday'": "not a number",
    "queued=9e999": "not a number",
    "exit_code='x'": "not a count",
    "warnings='{\"a\": 1}'": "not a list",
    "settings=x'00'": "not text",
    "error=x'00'": "not text",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_value_of_the_manifest_is_checked(finished, card, options, damage):
    with sqlite3.connect(finished / ".pano-sound" / "manifest.sqlite") as db:
        db.execute(f"UPDATE films SET {damage} WHERE state='done'")
    before = films_in(finished.parent)
    for use in (
        lambda library: library.take_in([str(card)], [], options),
        lambda library: library.retake(),
        lambda library: list(library.manifest.rows()),
    ):
        with Library.open(str(finished)) as library, pytest.raises(DataFileError, match=DAMAGE[damage]) as error:
            use(library)
        assert error.value.exit_code == 7
        assert str(error.value).count("\n") == 0
    assert films_in(finished.parent) == before


def test_damaged_text_in_the_manifest_is_told(finished, card, options, monkeypatch):
    """Of a column, and of SQLite's own message, which may hold what is damaged."""
    with sqlite3.connect(finished / ".pano-sound" / "manifest.sqlite") as db:
        db.execute("UPDATE films SET settings=CAST(x'fd' AS TEXT)")
        db.execute("UPDATE settings SET key=CAST(x'fd' AS TEXT)")
    with pytest.raises(DataFileError, match="manifest cannot be used") as error:
        take_in([card], finished, options)
    assert error.value.exit_code == 7
    monkeypatch.setattr(schema, "update", lambda *_: b"\xfd".decode())
    with pytest.raises(DataFileError, match="text that is not UTF-8"):
        Manifest(finished / ".pano-sound" / "manifest.sqlite")


def test_a_manifest_of_the_first_version_is_brought_up_to_date(finished, card, options):
    at = finished / ".pano-sound" / "manifest.sqlite"
    with sqlite3.connect(at) as db:
        db.executescript(
            "ALTER TABLE films RENAME COLUMN tries TO strikes; ALTER TABLE thumbnails RENAME TO looks; DROP TABLE own;"
            "PRAGMA user_version=1; PRAGMA application_id=0;"
        )
    (finished / "report.html").write_text("of the first version")
    with Library.open(str(finished)) as library:
        counts = library.manifest.count()
        assert (counts["done"], counts["waiting"]) == (1, 1)
        (done,) = [row for row in library.manifest.rows() if row.state == "done"]
        assert library.manifest.thumbnail(done)[0][:2] == b"\xff\xd8"
        library.take_in([str(card)], [], options)
        library.report()
    assert "pano-sound" in (finished / "report.html").read_text()
    with sqlite3.connect(at) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(DataFileError, match="of version 99"):
        Manifest(at)


def test_a_folder_that_vanishes_or_is_exchanged_stops_the_run(card, options, tmp_path):
    out = tmp_path / "out"
    with Library.open(str(out)) as library:
        library.take_in([str(card)], [], options)
        out.rename(tmp_path / "moved")
        for exchange in (lambda: None, out.mkdir):
            exchange()
            with pytest.raises(DiskError, match="the folder has vanished"):
                library.keep()
            with pytest.raises(DiskError, match="the folder has vanished"):
                put_result(library.out, card / "a.mp4", "a.mp4", [])
        assert list(out.iterdir()) == []
    counts = take_in([card], tmp_path / "moved", options)
    assert counts["waiting"] == 2


def test_results_that_vanish_are_noticed_at_the_end(card, options, tmp_path):
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card)], [], options)
        for _ in range(2):
            make(library, tmp_path)
        library.check_made()
        (tmp_path / "out" / "a.mp4").unlink()
        with pytest.raises(OutputError, match="has disappeared since it was made"):
            library.check_made()


@pytest.mark.parametrize("gone", ["out", "cache", "card"])
def test_a_lost_disk_is_not_blamed_on_a_film(card, options, tmp_path, gone):
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card)], [], options)
        shutil.move(tmp_path / gone, tmp_path / "elsewhere")
        found = make(library, tmp_path)[1]
        assert (found.state, isinstance(found.trouble, InputError if gone == "card" else DiskError)) == ("broken", True)
        assert not (tmp_path / gone).exists()
        library.manifest.release(library.run)
        assert library.manifest.count()["waiting"] == 2


def test_results_of_a_lost_cluster_are_recognised(finished, card, options):
    at = finished / ".pano-sound" / "manifest.sqlite"
    with sqlite3.connect(at) as db:
        db.execute("UPDATE films SET state='waiting', made=NULL, stamp=NULL")
        noted = dict(db.execute("SELECT name, sha256 FROM own"))
        db.execute("DELETE FROM own")
    with pytest.raises(OutputError, match="this batch did not write it"):
        take_in([card], finished, options)
    pending = finished / ".pano-sound" / "pending"
    pending.mkdir()
    (pending / "1.json").write_text(json.dumps(noted))
    (pending / "2.json").write_text("nonsense")
    assert take_in([card], finished, options)["waiting"] == 2


def test_a_separate_recording_counts_by_its_content(card, options, tmp_path, monkeypatch):
    sound, out = tmp_path / "rec.wav", tmp_path / "out"
    own = film_maker.pannable  # Without aligning the two.
    monkeypatch.setattr(film_maker, "pannable", lambda src, options: own(src, replace(options, sound=None)))
    for content in (b"wrong", b"right"):
        sound.write_bytes(content)
        with Library.open(str(out)) as library:
            library.take_in([str(card / "a.mp4")], [], replace(options, sound=str(sound)))
            assert library.manifest.count()["waiting"] == 1
            assert make(library, tmp_path)[2] == "done"
    assert len(list((tmp_path / "cache").rglob("*.soundmap.npz"))) == 2
    again = replace(options, sound=str(sound.rename(tmp_path / "take 2.wav")))
    assert take_in([card / "a.mp4"], out, again)["done"] == 1
    os.link(again.sound, out / "b.mp4")
    with pytest.raises(OutputError, match="is an input"):
        take_in([card], out, again, overwrite=True)
    with sqlite3.connect(out / ".pano-sound" / "manifest.sqlite") as db:
        db.execute("UPDATE films SET state='failed', output='b.mp4'")
    with Library.open(str(out)) as library:
        with pytest.raises(OutputError, match="is an input"):
            library.retake(overwrite=True)
        Path(again.sound).write_bytes(b"another")
        with pytest.raises(InputError, match=r"take 2\.wav: has changed since the batch was run"):
            library.retake()
    with sqlite3.connect(out / ".pano-sound" / "manifest.sqlite") as db:
        db.execute("UPDATE films SET output='a.mp4'")
        db.execute("UPDATE settings SET json=json_remove(json, '$.recording')")  # As an earlier version.
    with Library.open(str(out)) as library:
        assert library.retake() == 1


def test_the_first_named_of_equal_films_is_the_original(card, options, tmp_path):
    first, second = tmp_path / "z", tmp_path / "a"
    for folder in (first, second):
        folder.mkdir()
        shutil.copyfile(card / "a.mp4", folder / "clip.mp4")
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(first), str(second)], [], options)
        found = {row.paths[0]: (row.state, row.same_as) for row in library.manifest.rows()}
    assert found == {str(first / "clip.mp4"): ("waiting", None), str(second / "clip.mp4"): ("duplicate", "clip.mp4")}


def test_a_copy_that_is_named_before_a_finished_film_does_not_take_its_place(card, options, tmp_path):
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card / "b.mp4")], [], options)
        assert make(library, tmp_path)[2] == "done"
    shutil.copyfile(card / "b.mp4", card / "a.mp4")
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card)], [], options)
        found = {row.output: (row.state, row.same_as) for row in library.manifest.rows()}
    assert found == {"a.mp4": ("duplicate", "b.mp4"), "b.mp4": ("done", None)}


def test_a_dry_run_names_what_will_be_refused(card, options, tmp_path):
    (card / "empty.mp4").write_bytes(b"")
    films.make_film(card / "flat.mp4", size=(320, 180), sound=films.tone(0.4))
    found = estimate([str(card)], [], str(tmp_path / "out"), BatchOptions(), options)
    assert (found.films, found.failed, found.skipped) == (2, 1, 1)
    assert {os.path.basename(path) for path in found.refused} == {"empty.mp4", "flat.mp4"}
    assert f"{card / 'empty.mp4'}: the file is empty" in str(found)
    assert not (tmp_path / "out").exists()


def test_warnings_on_finished_films_are_printed(card, options, tmp_path, caplog):
    films.make_film(card / "mute.mp4", size=(128, 64))
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card / "mute.mp4")], [], options)
        assert make(library, tmp_path)[2] == "done"
        caplog.clear()
        say_warnings(library.manifest, "mute.mp4")
    assert any("has no sound" in record.getMessage() for record in caplog.records)


def fail_all(out):
    with sqlite3.connect(out / ".pano-sound" / "manifest.sqlite") as db:
        db.execute("UPDATE films SET state='failed'")


def test_failed_films_are_tried_again_from_any_folder(card, options, tmp_path, monkeypatch):
    out, weights = tmp_path / "out", tmp_path / "own.safetensors"
    shutil.copyfile(options.model, weights)
    shutil.copyfile(card / "a.mp4", tmp_path / "rec.wav")
    monkeypatch.chdir(tmp_path)
    take_in([card], out, replace(options, model="./own.safetensors", sound="rec.wav"))
    fail_all(out)
    monkeypatch.chdir(card)
    with Library.open(str(out)) as library:
        assert library.retake() == 2
        settings = library.manifest.settings(next(iter(library.manifest.rows())).settings)
        assert (settings["model"], settings["sound"]) == (str(weights), str(tmp_path / "rec.wav"))


def test_failed_films_are_not_tried_again_with_other_weights(card, options, tmp_path):
    out, weights = tmp_path / "out", tmp_path / "own.safetensors"
    shutil.copyfile(options.model, weights)
    take_in([card], out, replace(options, model=str(weights)))
    fail_all(out)
    weights.write_bytes(weights.read_bytes()[::-1])
    with Library.open(str(out)) as library, pytest.raises(ModelError, match="weights have changed since the batch"):
        library.retake()
    weights.unlink()
    with Library.open(str(out)) as library, pytest.raises(ModelError, match="no such weights file"):
        library.retake()


@pytest.mark.parametrize("gone", ["own.safetensors", "rec.wav"])
def test_weights_or_a_recording_that_vanish_stop_the_batch(card, options, tmp_path, gone):
    shutil.copyfile(options.model, tmp_path / "own.safetensors")
    shutil.copyfile(card / "a.mp4", tmp_path / "rec.wav")
    given = replace(options, model=str(tmp_path / "own.safetensors"), sound=str(tmp_path / "rec.wav"))
    with Library.open(str(tmp_path / "out")) as library:
        library.take_in([str(card)], [], given if gone == "rec.wav" else replace(given, sound=None))
        (tmp_path / gone).unlink()
        _, found, _ = make(library, tmp_path)
    assert found.state == "broken"
    assert gone in str(found.trouble)
