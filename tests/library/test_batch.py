"""Whole runs over a made library, as a user starts them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import threading
from multiprocessing import resource_tracker

import made
import psutil
import pytest
from batches import states
from waiting import PATIENCE, wait_until


def copy(finished, tmp_path):
    shutil.copytree(finished[0] / "out", tmp_path / "out")
    shutil.copytree(finished[0] / "cache", tmp_path / "cache")
    return tmp_path / "out"


def test_every_film_ends_in_its_state(small, finished):
    folder, done = finished
    assert states(folder / "out") == small[1]
    assert done.returncode == 1
    made_names = {name for name, state in small[1].items() if state == "done"}
    assert {n for n in made.hashes(folder / "out") if n.endswith(".mp4")} == made_names
    assert os.listdir(folder / "out" / ".pano-sound" / "work") == []
    assert "failed" in done.stderr
    assert done.stdout.count("\n") == 1


def test_chapters_are_one_film(small, finished):
    rows = [json.loads(line) for line in (finished[0] / "out" / "report.jsonl").read_text().splitlines()]
    (recording,) = [row for row in rows if "GX010004" in row["output"]]
    assert [os.path.basename(path) for path in recording["inputs"]] == ["GX010004.MP4", "GX020004.MP4"]
    assert recording["result"]["seconds"] == pytest.approx(0.8, abs=0.05)


def test_a_second_run_makes_nothing(small, finished, batch, tmp_path):
    out = copy(finished, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.mp4")}
    done = batch(small[0], "-o", "out", "--json")
    assert done.returncode == 1
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.mp4")} == before
    assert states(out) == small[1]


@pytest.mark.slow
def test_missing_damaged_or_changed_results_are_made_again(small, finished, batch, tmp_path):
    wanted = made.hashes(copy(finished, tmp_path))
    out, library = tmp_path / "fresh", tmp_path / "videos"
    shutil.copytree(small[0], tmp_path / "card")
    batch("card", "-o", "fresh")
    assert made.hashes(out) == wanted
    (tmp_path / "card").rename(library)
    dates = {p: p.stat().st_mtime_ns for p in out.rglob("*.mp4")}
    batch(library, "-o", "fresh")
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.mp4")} == dates
    videos = sorted(n for n in wanted if n.endswith(".mp4"))
    (out / videos[0]).unlink()
    content = bytearray((out / videos[1]).read_bytes())
    content[-20] ^= 1
    (out / videos[1]).write_bytes(content)
    os.utime(out / videos[2])  # Only the date is another.
    made_before = (out / videos[2]).stat().st_mtime_ns
    (out / videos[3].replace(".mp4", ".path.json")).unlink()
    kept = batch(library, "-o", "fresh")
    assert f"{videos[1]}: was changed after it was made, and is kept" in kept.stderr
    assert made.hashes(out) == {**wanted, videos[1]: made.sha256(content)}
    assert (out / videos[2]).stat().st_mtime_ns == made_before
    batch(library, "-o", "fresh", "-y")
    assert made.hashes(out) == wanted
    changed = next(library.rglob("clip-0001.mp4"))
    made.good(changed, 77)
    batch(library, "-o", "fresh")
    now = made.hashes(out)
    assert {n for n in wanted if now[n] != wanted[n]} == {"day 0/clip-0001.mp4", "day 0/clip-0001.path.json"}


def test_another_aspect_does_not_analyse_again(small, finished, batch, tmp_path):
    out = copy(finished, tmp_path)
    before = made.hashes(out)
    maps = list((tmp_path / "cache").rglob("*.soundmap.npz"))
    dates = {p: p.stat().st_mtime_ns for p in maps}
    batch(small[0], "-o", "out", "--aspect", "9:16")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.soundmap.npz")} == dates
    assert states(out) == small[1]
    after = made.hashes(out)
    assert after.keys() == before.keys()
    assert all(after[n] != before[n] for n in before)


def test_status_and_retry(small, finished, batch, tmp_path):
    out = copy(finished, tmp_path)
    told = json.loads(batch("status", "out", "--json").stdout)
    wanted = {state: list(small[1].values()).count(state) for state in set(small[1].values())}
    assert {k: v for k, v in told["films"].items() if v} == wanted
    assert all(row["error"] for row in told["failed"])
    assert "no such file" not in batch("status", "out").stdout
    again = batch("retry", "out", "--json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["films"]["failed"] == wanted["failed"]
    assert states(out) == small[1]
    nothing = batch("status", "nowhere")
    assert nothing.returncode == 7
    assert nothing.stderr.count("\n") == 1


def test_a_dry_run_writes_nothing(small, batch, tmp_path):
    told = json.loads(batch(small[0], "-o", "out", "--dry-run", "--json").stdout)
    wanted = {state: list(small[1].values()).count(state) for state in set(small[1].values())}
    assert (told["films"], told["skipped"], told["failed"], told["duplicate"]) == tuple(
        wanted[state] for state in ("done", "skipped", "failed", "duplicate")
    )
    assert told["core_hours"] > 0
    assert told["bytes"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_limit_is_kept_and_a_failure_can_stop(small, batch, tmp_path):
    done = batch(small[0], "-o", "out", "--limit", "2", "--json")
    assert sum(json.loads(done.stdout)["films"].values()) - 2 == sum(s == "duplicate" for s in small[1].values())
    found = list(states(tmp_path / "out").values())
    assert found.count("waiting") == len(found) - 2 - found.count("duplicate")
    broken = tmp_path / "broken"
    broken.mkdir()
    for i in range(6):
        (broken / f"{i}.mp4").write_bytes(bytes([i]) * 100 * (i + 1))
    done = batch(broken, "-o", "other", "--fail-fast", "--workers", "1")
    assert done.returncode == 1
    assert sorted(states(tmp_path / "other").values()) == ["failed", *5 * ["waiting"]]


@pytest.mark.slow
def test_two_runs_at_once_share_the_work(small, batch, tmp_path):
    first = batch.start(small[0], "-o", "out", "--workers", "1")
    wait_until(lambda: list(tmp_path.glob("out/.pano-sound/alive/*.lock")), first)
    second = batch(small[0], "-o", "out", "--workers", "1")
    _, said = first.communicate(timeout=PATIENCE)
    assert "Traceback" not in said
    assert (first.returncode, second.returncode) == (1, 1), said + second.stderr
    assert states(tmp_path / "out") == small[1]
    rows = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert all(row["attempts"] == (row["state"] != "duplicate") for row in rows)


@pytest.mark.slow
def test_two_runs_with_different_options_do_not_mix(small, batch, tmp_path):
    first = batch.start(small[0], "-o", "out", "--workers", "1", "--limit", "1")
    wait_until(lambda: list(tmp_path.glob("out/.pano-sound/work/*")), first)
    processes = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    for process in processes:
        process.suspend()  # It must not end before the second has begun.
    second = batch(small[0], "-o", "out", "--aspect", "9:16")
    assert second.returncode == 1
    assert "another run is making this film with other options" in second.stderr
    assert second.stderr.count("\n") == 1
    for process in processes:
        process.resume()
    first.communicate(timeout=PATIENCE)
    found = list(states(tmp_path / "out").values())
    assert (found.count("done"), found.count("failed")) == (1, 0)


def test_progress_on_a_terminal(small, batch):
    """A bar for the batch and one for each film; without a terminal, nothing."""
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    resource_tracker.ensure_running()  # Here, because it keeps open what is stderr when it starts.
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    said = []

    def read():
        with contextlib.suppress(OSError):
            while block := os.read(ours, 65536):
                said.append(block)

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w", encoding="utf-8") as terminal:
        done = batch(small[0], "-o", "out", "--limit", "3", stderr=terminal)
    reader.join()
    os.close(ours)
    text = b"".join(said).decode(errors="replace")
    assert "unexpected" not in text
    assert "3/3 films" in text
    # Not all of its stages: what lasts no fifth of a second is not shown.
    assert any(stage in text for stage in ("listen", "look", "render"))
    assert done.stdout.count("\n") == 1


def test_a_failed_film_is_named_in_one_line_even_if_only_errors_are_printed(batch, tmp_path):
    odd, shown = "b\ne\x1b[31m", r"b\ne\x1b[31m/a.mp4: "
    (tmp_path / "card" / odd).mkdir(parents=True)
    (tmp_path / "card" / odd / "a.mp4").write_text("no film")
    assert f"card/{shown}" in batch("card", "-o", "out", "--dry-run").stdout.splitlines()[-1]
    done = batch("card", "-o", "out", "-q")
    assert (done.returncode, done.stdout) == (1, "")
    whole = f"{tmp_path}/card/{shown}failed: "
    assert done.stderr.startswith(f"pano-sound: error: {whole}")
    assert done.stderr.count("\n") == 1
    assert batch("status", "out").stdout.splitlines()[-1].startswith(whole)


def test_failed_films_that_were_deleted_since_do_not_count(batch, tmp_path):
    card = tmp_path / "card"
    (card / "day").mkdir(parents=True)
    for film in (card / "a.mp4", card / "day" / "b.mp4"):
        film.write_text(f"no film, {film.name}")
    (tmp_path / "list.txt").write_text("card/never.mp4")
    batch("card", "--list", "list.txt", "-o", "out")

    def failed() -> list[str]:
        return [row["output"] for row in json.loads(batch("status", "out", "--json").stdout)["failed"]]

    assert failed() == ["a.mp4", "day/b.mp4", "never.mp4"]
    card.rename(tmp_path / "unplugged")
    assert failed() == ["a.mp4", "day/b.mp4", "never.mp4"]
    (tmp_path / "unplugged").rename(card)
    (card / "a.mp4").unlink()
    assert failed() == ["day/b.mp4", "never.mp4"]
    assert "failed           2" in batch("status", "out").stdout
    assert json.loads(batch("retry", "out", "--json").stdout)["films"]["failed"] == 2
    assert set(states(tmp_path / "out")) == {"day/b.mp4", "never.mp4"}


def test_wrong_arguments_end_in_one_line(batch, small):
    for words, code in (
        (["nowhere", "-o", "out"], 3),
        (["*.nothing", "-o", "out"], 3),
        (["-o", "out"], 2),
        ([small[0], "-o", "out", "--name", "same.mp4"], 2),
        ([small[0], "-o", "out", "--name", "../{stem}.mp4"], 2),
        ([small[0], "-o", "out", "--name", "{stem}.avi"], 5),
        ([small[0], "-o", "https://example.com/out"], 5),
        ([small[0], "-o", "/dev/null/out"], 5),
    ):
        done = batch(*words)
        assert done.returncode == code, done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith(("pano-sound: error", "Error:")), done.stderr


@pytest.mark.slow
def test_pages_are_made_resumed_and_kept_true(batch, tmp_path):
    """A page beside each video: also of films that were finished without one, and anew with the video."""
    (tmp_path / "card").mkdir()
    for i, name in enumerate("ab"):
        made.good(tmp_path / "card" / f"{name}.mp4", i)
    out = tmp_path / "out"
    assert batch("card", "-o", "out").returncode == 0
    videos = made.hashes(out)
    foreign = out / "b.report.html"
    foreign.write_text("mine")
    refused = batch("card", "-o", "out", "--reports")
    assert (refused.returncode, foreign.read_text()) == (5, "mine")
    assert "this batch did not write it" in refused.stderr
    foreign.unlink()
    assert batch("card", "-o", "out", "--reports").returncode == 0
    pages = sorted(out.glob("*.report.html"))
    assert [page.name for page in pages] == ["a.report.html", "b.report.html"]
    text = pages[0].read_text()
    assert 'src="a.mp4"' in text
    assert 'src="../card/a.mp4"' in text
    assert 'href="a.report.html"' in (out / "report.html").read_text()
    assert {name: sha for name, sha in made.hashes(out).items() if name in videos} == videos
    dates = {p: p.stat().st_mtime_ns for p in out.glob("?.*")}
    for again in ((), ("--reports",)):
        assert batch("card", "-o", "out", *again).returncode == 0
        assert {p: p.stat().st_mtime_ns for p in out.glob("?.*")} == dates
    pages[0].unlink()
    assert batch("card", "-o", "out", "--reports").returncode == 0
    assert pages[0].read_text() == text
    assert batch("card", "-o", "out", "--aspect", "1:1").returncode == 0
    assert pages[0].read_text() != text  # It has a page, which must show the new video.
