"""Pages in a real browser, headless, from disk: of a report and of a study. Needs Chromium: `apt install chromium`."""

import json
import os
import shlex
import shutil

import films
import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.constraints import Mask, Pin, load_constraints
from pano_sound.options.input import InputOptions
from pano_sound.pipeline import pannable
from pano_sound.soundmap import Named, SoundMap
from pano_sound.visualize.report import write_report

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 6
PATIENCE = 120
"""Seconds; generous, for busy machines."""
PIN = Pin(4.0, 5.0, -100.0, -20.0, 50.0)
MASK = Mask((170.0, -170.0), (-90.0, -60.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A film, all grey; a result; and the page. It sounds at yaw 93, pitch -3; the camera turns from 3 s to 4 s."""
    folder = tmp_path_factory.mktemp("report")
    times = films.steady(SECONDS * 10, 10)
    film = films.make_film(folder / "film.mp4", times, size=(256, 128), sound=films.tone(float(SECONDS)))
    films.make_film(folder / "flat.mp4", times, size=(320, 180), sound=films.tone(float(SECONDS)))
    n = SECONDS * 2
    posterior = np.zeros((n, 30, 60), np.float16)
    posterior[:, 15, 45] = 0.9
    soundmap = SoundMap(
        np.arange(n) / 2,
        posterior,
        np.full(n, 0.1, np.float32),
        np.full(n, -20, np.float32),
        {"path": "film.mp4", "width": 256, "end": float(SECONDS)},
        cues={"semantic": posterior, "motion": np.zeros_like(posterior)},
        named=Named(("guitar",), np.full((n, 1), 0.9, np.float16)),
    )
    looks = np.array([[0, 0, 0, 0, 90], [3, 0, 0, 0, 90], [4, 90, 10, 0, 90], [6, 90, 10, 0, 90.0]])
    path = CameraPath(320, 180, looks, pins=(PIN,), masks=(MASK,))
    info = pannable(film, InputOptions())
    write_report(folder / "page.html", soundmap, path, film=info, result=folder / "flat.mp4")
    return folder


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as runs:
        # As root, and where processes may not make sandboxes of their own, Chromium runs only without.
        browser = runs.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=1000 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, folder):
    page = browser.new_page(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page.set_default_timeout(1000 * PATIENCE)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "page.html").as_uri(), wait_until="domcontentloaded")
    until(page, "view && videos.length === 3 && videos.every(([video]) => video.readyState >= 2)")
    yield page
    page.close()
    assert not said
    here = folder.as_uri()
    assert {url for url in asked if not url.startswith("blob:null/")} == {
        f"{here}/{name}" for name in ("page.html", "flat.mp4", "film.mp4")
    }


def until(page, condition):
    """Wait. Playwright's own waiting evaluates text within the page, which the page forbids."""
    for _ in range(10 * PATIENCE):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise TimeoutError(condition)


def look(page):
    return page.evaluate("[view.yaw, view.pitch]")


def times(page):
    """Film time of each video."""
    return page.evaluate("videos.map(([video, zero]) => video.currentTime + zero)")


def colour_at(page, share):
    """RGB of the 360° view at a share of its width, half-way up."""
    return page.evaluate(
        """share => { view.draw(); const canvas = view.renderer.domElement, gl = view.renderer.getContext();
        const pixel = new Uint8Array(4);
        gl.readPixels(canvas.width * share, canvas.height / 2, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
        return [...pixel.slice(0, 3)]; }""",
        share,
    )


def test_it_plays_in_step_and_stops(page):
    page.keyboard.press("Space")
    until(page, "t > 0.7")
    page.keyboard.press("Space")
    until(page, "videos.every(([video]) => video.paused)")
    assert page.inner_text("#play") == "Play"
    until(page, "videos.every(([video]) => !video.seeking)")
    played = times(page)
    assert max(played) - min(played) < 0.11
    assert page.evaluate("t") == pytest.approx(played[0], abs=0.01)


@pytest.mark.parametrize(("key", "to"), [("ArrowRight", 3.0), ("ArrowLeft", 1.0), ("Home", 0.0), ("End", 6.0)])
def test_keys_seek_all_videos(page, key, to):
    page.evaluate("seek(2)")
    page.keyboard.press(key)
    until(page, "videos.every(([video]) => !video.seeking)")
    assert page.evaluate("t") == pytest.approx(to)
    assert times(page) == pytest.approx([to] * 3, abs=0.11)
    assert f"{to:.1f} s: guitar" in page.inner_text("#now")


def test_a_click_on_the_map_goes_there_and_the_view_follows(page):
    assert look(page) == pytest.approx([0, 0], abs=0.1)
    page.locator(".time.map").scroll_into_view_if_needed()
    box = page.locator(".time.map").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 5.5 / SECONDS, box["y"] + box["height"] * 0.9)
    assert page.evaluate("t") == pytest.approx(5.5, abs=0.05)
    assert look(page) == pytest.approx([90, 10], abs=0.1)


def test_the_view_shows_the_film_and_where_it_sounds(page):
    page.evaluate("byId('follow').checked = false, view.look(93, -3, 90), draw()")
    there, beside = colour_at(page, 0.5), colour_at(page, 0.05)
    assert max(beside) - min(beside) <= 12  # The film is grey,
    assert max(beside) > 20  # and not black.
    assert there[0] - there[2] > 40  # What sounds is warm.
    page.select_option("#kind", "motion")
    page.evaluate("draw()")
    quiet = colour_at(page, 0.5)
    assert max(quiet) - min(quiet) <= 12


def test_dragging_turns_the_view_and_ends_following(page):
    box = page.locator("#sphere").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 4, y)
    page.mouse.up()
    yaw, pitch = look(page)
    assert yaw == pytest.approx(page.evaluate("view.hfov") / 4, abs=1)
    assert pitch == pytest.approx(0, abs=1)
    page.evaluate("seek(5)")
    assert look(page)[0] == pytest.approx(yaw)


def test_pins_are_set_moved_and_saved_as_plan_reads_them(page, tmp_path):
    page.evaluate("seek(1)")
    for _ in range(6):
        page.keyboard.press("d")
    page.keyboard.press("w")
    page.keyboard.press("p")
    yaw, pitch = look(page)
    assert (yaw, pitch) == pytest.approx((30, 5), abs=0.1)
    page.locator(".time.map").scroll_into_view_if_needed()
    # Half a second later and 60° further right.
    bar, area = page.locator(".pin").nth(0).bounding_box(), page.locator(".time.map").bounding_box()
    x, y = bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + area["width"] * 0.5 / SECONDS, y - area["height"] * 60 / 360)
    page.mouse.up()
    page.locator("#pins input[name=to]").nth(0).fill("3.25")
    page.keyboard.press("Enter")
    with page.expect_download() as saving:
        page.click("#save")
    assert saving.value.suggested_filename == "film.pins.json"
    saving.value.save_as(tmp_path / "a.json")
    pins, masks = load_constraints(tmp_path / "a.json")
    assert (pins[1], masks) == (PIN, (MASK,))
    moved = pins[0]
    assert (moved.start, moved.end, moved.hfov) == (pytest.approx(1.5, abs=0.02), 3.25, None)
    assert (moved.yaw, moved.pitch) == (pytest.approx(90, abs=1), pytest.approx(5, abs=0.1))
    assert json.loads((tmp_path / "a.json").read_text()).keys() == {"pins", "masks"}


@pytest.mark.parametrize("name", ["Dinner 19:30?.mp4", ".hidden~1.mp4", "it's | 5%.mov", "caf\udce9.mp4", ".mp4"])
def test_pins_are_saved_under_the_name_that_the_commands_have(browser, tmp_path, name):
    even, one = np.full((2, 30, 60), 1e-4, np.float16), np.full(2, 0.8, np.float32)
    soundmap = SoundMap(np.arange(2.0), even, one, one - 20, {"path": name, "end": 2.0})
    write_report(tmp_path / "a.html", soundmap, CameraPath(320, 180, np.array([[0, 0, 0, 0, 90.0]])))
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(1000 * PATIENCE)
    page.goto((tmp_path / "a.html").as_uri(), wait_until="domcontentloaded")
    with page.expect_download() as saving:
        page.click("#save")
    words = shlex.split(page.text_content("pre").splitlines()[1])
    assert words[:2] == ["pano-sound", "plan"]
    assert words[words.index("--pins") + 1] == saving.value.suggested_filename
    page.close()


def test_pins_that_overlap_are_not_saved(page, tmp_path):
    page.evaluate("seek(1)")
    page.keyboard.press("p")
    page.evaluate("seek(2)")
    page.keyboard.press("p")
    saved = []
    page.on("download", lambda download: saved.append(download))
    page.click("#save")
    begin = page.locator("#pins input[name=from]").nth(1)
    assert page.evaluate("document.activeElement.validationMessage").startswith("A pin must begin after")
    assert begin.evaluate("input => input === document.activeElement")
    assert not saved
    begin.fill("3.2")
    page.keyboard.press("Enter")
    with page.expect_download() as saving:
        page.click("#save")
    saving.value.save_as(tmp_path / "a.json")
    assert [pin.start for pin in load_constraints(tmp_path / "a.json")[0]] == [1, 3.2, 4]


def test_arrows_change_times_by_tenths_and_angles_by_degrees(page):
    for name, changed in (("from", 4.1), ("to", 5.1), ("yaw", -99), ("pitch", -19)):
        page.locator(f"#pins input[name={name}]").focus()
        page.keyboard.press("ArrowUp")
        assert page.evaluate(f"pins[0].{name}") == pytest.approx(changed)


def test_a_pin_is_dragged_in_the_view(page):
    page.evaluate("byId('follow').checked = false, view.look(-100, -20, 90), draw()")
    box = page.locator("#sphere").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] / 4, y)
    page.mouse.up()
    pin = page.evaluate("pins[0]")
    # A quarter of 90° wide view to the right of its middle: tan of it is half of tan 45°.
    assert pin["yaw"] == pytest.approx(-100 + 28, abs=2)
    assert look(page) == pytest.approx([-100, -20])


@pytest.mark.parametrize("act", ["Remove", "Move to where I look"])
def test_buttons_of_a_pin(page, act):
    page.evaluate("byId('follow').checked = false, view.look(12, 3), draw()")
    page.get_by_role("button", name=act).click()
    left = page.evaluate("pins.map(pin => [pin.yaw, pin.pitch])")
    assert left == ([] if act == "Remove" else [[12, 3]])


def test_a_film_that_begins_late_plays_in_step_with_its_result(browser, folder):
    times = films.steady(30, 10, 1)
    film = films.make_film(folder / "late.mp4", times, size=(256, 128))
    films.make_film(folder / "late-flat.mp4", times, size=(320, 180))
    n = np.arange(1.0, 4.0, 0.5)
    posterior = np.full((len(n), 30, 60), 1e-4, np.float16)
    levels = np.full(len(n), -20, np.float32)
    soundmap = SoundMap(n, posterior, np.full(len(n), 0.8, np.float32), levels, {"path": "late.mp4", "end": 4.0})
    path = CameraPath(320, 180, np.array([[1, 0, 0, 0, 90.0]]))
    info = pannable(film, InputOptions())
    write_report(folder / "late.html", soundmap, path, film=info, result=folder / "late-flat.mp4")
    page = browser.new_page()
    page.goto((folder / "late.html").as_uri(), wait_until="domcontentloaded")
    until(page, "view && videos.length === 3 && videos.every(([video]) => video.readyState >= 2)")
    page.evaluate(
        "videos.forEach(([video, zero]) => video.requestVideoFrameCallback((now, shown) => {"
        " video.shown = shown.mediaTime + (video === preview ? zero : 0); })), seek(2.5)"
    )
    until(page, "videos.every(([video]) => video.shown !== undefined)")
    assert page.evaluate("videos.map(([video]) => video.shown)") == pytest.approx([2.5] * 3, abs=0.11)
    page.close()


def test_a_page_plays_without_a_result_that_the_browser_cannot_play(browser, folder):
    name, film = folder / "without.html", folder / "film.mp4"
    (folder / "no.mp4").write_bytes(b"no film")
    even, one = np.full((12, 30, 60), 1e-4, np.float16), np.full(12, 0.8, np.float32)
    soundmap = SoundMap(np.arange(12) / 2, even, one, one - 20, {"path": "film.mp4", "end": 6.0})
    path = CameraPath(320, 180, np.array([[0, 0, 0, 0, 90.0]]))
    write_report(name, soundmap, path, film=pannable(film, InputOptions()), result=folder / "no.mp4")
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(name.as_uri(), wait_until="domcontentloaded")
    until(page, "byId('result').error && [source, preview].every(video => video.readyState >= 2)")
    assert "cannot be played here" in page.inner_text(".videos")
    page.keyboard.press("Space")
    until(page, "t > 0.7 && byId('play').textContent === 'Pause'")
    assert not page.evaluate("source.muted")
    page.keyboard.press("Space")
    until(page, "[source, preview].every(video => video.paused) && byId('play').textContent === 'Play'")
    page.close()


@pytest.mark.parametrize("joined", [False, True])
def test_a_part_of_a_film_plays_in_its_time_and_stops_at_its_end(browser, folder, joined):
    name = folder / f"part{joined}.html"
    film = str(folder / "film.mp4")
    info = pannable([film, film] if joined else film, InputOptions(start=2, end=3))
    n = np.arange(2.0, 3.0, 0.5)
    posterior = np.full((len(n), 30, 60), 1e-4, np.float16)
    levels = np.full(len(n), -20, np.float32)
    soundmap = SoundMap(n, posterior, np.full(len(n), 0.8, np.float32), levels, {"path": "film.mp4", "end": 3.0})
    write_report(name, soundmap, CameraPath(320, 180, np.array([[2, 0, 0, 0, 90.0]])), film=info)
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(name.as_uri(), wait_until="domcontentloaded")
    until(page, "view && videos.every(([video]) => video.readyState >= 2 && !video.seeking)")
    shown = page.locator("#film video, #source")
    assert shown.count() == 1
    assert page.evaluate("videos.map(([video]) => video.currentTime)") == ([0] if joined else [2, 0])
    page.keyboard.press("Space")
    until(page, "lead[0].paused")
    assert page.evaluate("t") == pytest.approx(3, abs=0.15)
    assert max(times(page)) < 3.3
    page.close()


def test_votes_of_a_study_are_saved_by_method(browser, tmp_path):
    from pano_sound.research.study import SIMILAR, Studied, read_votes, write_page

    films.make_film(tmp_path / "film.mp4", films.steady(10, 10), size=(256, 128))
    pans = {name: films.make_film(tmp_path / f"{name}.mp4", films.steady(10, 10)) for name in ("front", "ours")}
    write_page(tmp_path / "study.html", [Studied("film", tmp_path / "film.mp4", pans)], overwrite=False)
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(1000 * PATIENCE)
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.goto((tmp_path / "study.html").as_uri(), wait_until="domcontentloaded")
    until(page, "players.every(video => video.readyState >= 2)")
    ours = "A" if "ours" in page.get_attribute("#A", "src") else "B"
    for criterion, answer in enumerate((ours, "Similar", "A" if ours == "B" else "B")):
        page.locator(f"input[name=criterion{criterion}][value={answer}]").check()
    page.get_by_role("button", name="Next").click()
    assert page.is_visible("#end")
    with page.expect_download() as saving:
        page.click("#save")
    saving.value.save_as(tmp_path / "votes.json")
    page.close()
    assert [vote["vote"] for vote in read_votes([tmp_path / "votes.json"])] == ["ours", SIMILAR, "front"]
    assert not said


def test_a_study_warns_before_votes_are_lost_and_stops_between_films(browser, tmp_path):
    from pano_sound.research.study import Studied, write_page

    name = os.fsdecode(b"caf\xe9.mp4")
    films.make_film(tmp_path / "film.mp4", films.steady(10, 10), size=(256, 128)).rename(tmp_path / name)
    pans = {name: films.make_film(tmp_path / f"{name}.mp4", films.steady(10, 10)) for name in ("front", "ours")}
    write_page(tmp_path / "study.html", [Studied("film", tmp_path / name, pans)] * 2, overwrite=False)
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(1000 * PATIENCE)
    page.goto((tmp_path / "study.html").as_uri(), wait_until="domcontentloaded")
    until(page, "players.every(video => video.readyState >= 2)")
    page.click("#play")
    assert page.inner_text("#play") == "Stop"
    warned = (
        "(() => { const leaving = new Event('beforeunload', {cancelable: true}); return !dispatchEvent(leaving); })()"
    )
    assert not page.evaluate(warned)
    for _ in range(2):
        for criterion in range(3):
            page.locator(f"input[name=criterion{criterion}][value=A]").check()
        page.get_by_role("button", name="Next").click()
        assert page.text_content("#play") == "Play"
        assert page.evaluate(warned)
    assert page.is_visible("#end")
    with page.expect_download():
        page.click("#save")
    assert not page.evaluate(warned)
    page.close()
