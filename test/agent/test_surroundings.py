# SPDX-License-Identifier: Apache-2.0
"""What a machine lacks is one line."""

from pathlib import Path

import pytest
import torch

from td3_driver.learner.surroundings import UnfitError, check_device, summary_writer


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UnfitError, match=r"^device cuda: cannot be used \(.+\); use cpu") as error:
        check_device("cuda")
    assert "\n" not in str(error.value)


def test_a_device_that_is_there() -> None:
    check_device("cpu")


def test_a_log_folder_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tensorboard"
    file.write_text("in the way")
    with pytest.raises(UnfitError, match=f"^TensorBoard: {file}: File exists$"):
        summary_writer(file)
