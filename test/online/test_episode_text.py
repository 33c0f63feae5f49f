# SPDX-License-Identifier: Apache-2.0
"""Ended episodes in words."""

from dataclasses import replace

from td3_driver.driving.episode import EpisodeSummary
from td3_driver.online import episode_text

GOOD = EpisodeSummary(0, 512, 236.14, 1.0, 8.0, 0.171, "route_end", {})


def test_an_episode_is_a_line() -> None:
    assert episode_text.line(GOOD) == (
        "route_end after 512 steps, 100 % of the route, 8.0 m/s, lateral RMSE 0.17 m, return 236.1"
    )


def test_episodes_are_a_table_of_means() -> None:
    bad = replace(
        GOOD, total_reward=-36.14, completion=0.5, mean_speed_mps=4.0, lateral_rmse_m=0.5,
        reason="off_road",
    )  # fmt: skip
    assert episode_text.table([GOOD, bad, GOOD, GOOD]) == (
        "  drives        4\n"
        "  success       75 %\n"
        "  completion    87.5 %\n"
        "  lateral RMSE  0.253 m\n"
        "  speed         7.00 m/s\n"
        "  return        168.1\n"
        "  ended by      route_end 3, off_road 1"
    )
