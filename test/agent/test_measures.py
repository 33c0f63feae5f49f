# SPDX-License-Identifier: Apache-2.0
"""An update's numbers, read late."""

from __future__ import annotations

import pytest
import torch

from td3_driver.agent.measures import Measures


def test_measures_are_a_mapping_of_what_was_then() -> None:
    loss = torch.tensor(1.5)
    measures = Measures({"loss": loss, "q": torch.tensor(-2.0)})
    loss.fill_(9.0)  # as a recorded update's outputs are, by the next one
    assert dict(measures) == {"loss": 1.5, "q": -2.0}
    assert list(measures) == ["loss", "q"]
    assert len(measures) == 2
    assert {"old": 0.0} | dict(measures) == {"old": 0.0, "loss": 1.5, "q": -2.0}
    with pytest.raises(KeyError):
        measures["actor_loss"]
