import numpy as np
import pytest

from pano_sound.localize.cue import GRID, Evidence, normalized
from pano_sound.localize.fusion import Fusion, learnt
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between, cell_areas, cell_directions

FUSION = Fusion({"a": 1.0, "b": 1.0}, {"a": 0.5}, bias=0.0, spread=0.2)
AREAS = cell_areas(*GRID)
CELLS = cell_directions(*GRID)


def towards(yaw, nothing=0.0):
    off = angle_between(CELLS, directions(yaw, 0))
    maps = normalized((4.0 * np.exp(-((off / 15) ** 2)))[None].astype(np.float32))
    return Evidence(maps, np.full(1, nothing, np.float32))


def test_a_cue_that_knows_nothing_gives_a_uniform_sphere_and_the_bias():
    zero = Evidence(np.zeros((2, *GRID), np.float32), np.zeros(2, np.float32))
    posterior, elsewhere = FUSION.posterior({"a": zero, "unknown": zero})
    assert elsewhere == pytest.approx(0.5)
    assert posterior == pytest.approx(np.tile(0.5 * AREAS / AREAS.sum(), (2, 1, 1)), rel=1e-4)


def test_agreement_lowers_elsewhere_and_contradiction_raises_it():
    agree, odd = ({"a": towards(40), "b": towards(yaw)} for yaw in (40, -140))
    (here, low), (_, high) = FUSION.posterior(agree), FUSION.posterior(odd)
    _, one = FUSION.posterior({"a": towards(40)})
    assert low[0] < one[0] < high[0]
    assert angle_between(CELLS.reshape(-1, 3)[here[0].argmax()], directions(40, 0)) < 5
    assert FUSION.posterior({"a": towards(40, nothing=3.0)})[1][0] > one[0]


def test_one_cue_alone_agrees_with_nothing_however_sure_it_is():
    faint, strong = towards(40), Evidence(normalized(6 * towards(40).maps), np.zeros(1, np.float32))
    for one in (faint, strong):
        assert FUSION.posterior({"a": one})[1] == pytest.approx(0.5, abs=1e-4)
    silent = Evidence(np.zeros((1, *GRID), np.float32), np.zeros(1, np.float32))
    assert FUSION.posterior({"a": strong, "b": silent})[1] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("fusion", [FUSION, learnt()])
def test_it_adds_up_to_one_and_nothing_sounds_where_there_is_no_picture(fusion):
    covered = np.zeros(GRID, bool)
    covered[:, 15:45] = True
    rng = np.random.default_rng(0)
    wild = Evidence(60 * rng.standard_normal((5, *GRID)).astype(np.float32), 50 * np.ones(5, np.float32))
    for evidence in ({"a": towards(170)}, {"a": wild, "semantic": wild, "spatial": wild}):
        posterior, elsewhere = fusion.posterior(evidence, covered)
        assert posterior.sum(axis=(1, 2)) + elsewhere == pytest.approx(1, abs=1e-4)
        assert (posterior[:, ~covered] == 0).all()
        assert 0 < elsewhere.min() <= elsewhere.max() < 1
