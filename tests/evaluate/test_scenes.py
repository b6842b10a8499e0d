import dataclasses

import numpy as np
import pytest
import torch

from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.weights import save
from pano_sound.options.listening import ListeningOptions
from pano_sound.research.evaluate.scenes import LabelledScene, collect_evidence


@pytest.fixture
def scene(made_set):
    return LabelledScene(made_set / "pano" / "A.mp4", "A", "A", [(0.5, 40.0, 0.0), (1.5, 40.0, 0.0)])


def test_evidence_is_kept_for_its_weights_and_options_alone(scene, tiny_weights, tmp_path):
    torch.manual_seed(1)
    other_weights = tmp_path / tiny_weights.name
    save(Localizer(**TINY, mechanism=2), other_weights, {"name": "small", "version": "0"})

    def semantic(options):
        return collect_evidence(scene, None, options, tmp_path / "evidence").evidence["semantic"].maps

    options = ListeningOptions(model=tiny_weights)
    first, again = semantic(options), semantic(options)
    assert np.array_equal(first, again)
    assert len(list((tmp_path / "evidence").rglob("*.npz"))) == 1
    assert not np.array_equal(first, semantic(ListeningOptions(model=other_weights)))
    assert len(semantic(dataclasses.replace(options, every=0.25))) > len(first)
