"""The paper's Fig. 5, 7 and 8."""

import numpy as np
import pytest
from colours import Deaf, Knowing, example

from pano_sound.research.evaluate.responses import responses

BOX = (0.2, 0.2, 0.7, 0.7)


def test_each_model_has_its_map_of_each_picture():
    examples = [example(i, colour, BOX) for i, colour in enumerate(["red", "green", "blue", "red", "green"])]
    found = responses({"knows": Knowing(), "is deaf": Deaf()}, examples, 4)
    assert len(found) == 4
    for one in found:
        assert list(one.maps) == ["knows", "is deaf"]
        assert all(heat.shape == one.picture.shape[:2] for heat in one.maps.values())
        row, column = np.unravel_index(one.maps["knows"].argmax(), one.maps["knows"].shape)
        assert all(0.15 * 320 <= at <= 0.75 * 320 for at in (row, column))
        assert one.boxes == examples[0].boxes


@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_command_draws_a_figure(evaluate, tmp_path, ending, begin):
    pytest.importorskip("matplotlib")
    assert evaluate("responses", "DATA", "--count", "2", "-o", f"a.{ending}").code == 0
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(begin)
    assert evaluate("responses", "DATA", "-o", "a.txt").code == 2
