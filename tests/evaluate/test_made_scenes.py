"""Made scenes: a film that is there already is used again only if it shows what its truth says."""

from pano_sound.research.evaluate import made_scenes


def test_films_of_other_clips_are_not_used_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(made_scenes, "_make", lambda film, *about: (made.append(film), film.touch()))
    monkeypatch.setattr(made_scenes, "_has_sound", lambda clip: True)
    for folder in ("clips", "stills", "made"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        (tmp_path / "stills" / f"{number}.jpg").touch()

    def scenes(clips):
        rows = "".join(f"{number}.mp4,train\n" for number in range(clips))
        (tmp_path / "clips" / "clips.csv").write_text(f"file,split\n{rows}")
        return made_scenes.make_scenes(tmp_path, tmp_path / "made", "train", 6, 0)

    first = scenes(9)
    assert scenes(9) == first
    assert made == list(first)
    later = scenes(5)
    assert len(made) == len(set(made)) == len(first | later) > len(first)
    assert all(first[film] == later[film] for film in first.keys() & later.keys())
