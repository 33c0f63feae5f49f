# SPDX-License-Identifier: Apache-2.0
"""What replay.launch.py calls, `ros2 bag play` and `ros2 service call`, where no rosbag2 is.

The player begins as rosbag2's does with --start-paused, goes on when its service is called, and
publishes at the recorded times, at the rate asked for, without waiting for anybody.
"""

import sys
import time
from itertools import pairwise
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rosbags.rosbag2 import Reader
from std_srvs.srv import Trigger

from ..bags.test_live_replay import Player

_RESUME = "/rosbag2_player/resume"


def play(bag: Path, rate: float, acknowledged_within_ms: int) -> int:
    resumed: list[Trigger.Request] = []

    def resume(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        resumed.append(request)
        return response

    player = Player(bag)
    player.node.create_service(Trigger, _RESUME, resume)
    player.spin_until(lambda: bool(resumed))
    with Reader(bag) as reader:
        began_s = time.monotonic()
        for connection, time_ns, data in reader.messages():
            at_s = began_s + (time_ns - reader.start_time) * 1e-9 / rate
            time.sleep(max(at_s - time.monotonic(), 0.0))
            player.publishers[connection.topic].publish(bytes(data))
    within = Duration(nanoseconds=acknowledged_within_ms * 1_000_000)
    arrived = [publisher.wait_for_all_acked(within) for publisher in player.publishers.values()]
    print("all acknowledged" if all(arrived) else "Timed out while waiting", flush=True)
    player.close()
    return 0


def call(service: str) -> int:
    node = rclpy.create_node("caller")
    client = node.create_client(Trigger, service)
    client.wait_for_service()
    rclpy.spin_until_future_complete(node, client.call_async(Trigger.Request()))
    return 0


def main(verb: str, words: list[str]) -> int:
    rclpy.init(args=[])
    if verb == "service":
        assert words == ["call", _RESUME, "rosbag2_interfaces/srv/Resume"]
        return call(words[1])
    assert words[0] == "play"
    assert {"--start-paused", "--clock", "--disable-keyboard-controls"} < set(words)
    options = dict(pairwise(words))
    within_ms = int(options["--wait-for-all-acked"])
    return play(Path(words[1]), float(options["--rate"]), within_ms)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
