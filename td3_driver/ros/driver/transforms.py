# SPDX-License-Identifier: Apache-2.0
"""Where things are, for RViz and Foxglove: what nobody else tells in `/tf`."""

from __future__ import annotations

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.publisher import Publisher
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from td3_driver.driving.messages.decoding import ego_state
from td3_driver.driving.messages.topics import TF, TF_STATIC
from td3_driver.ros import names
from td3_driver.ros.wires import Wires

# So many frames go by before the car's frame is taken to be told by nobody.
LISTENED_FRAMES = 20


class Transforms:
    """Tells of two frames, given the odometry of each image.

    One is our own, `<node>/map`, in which the views of `config/` show things: the same as that of
    odometry, whatever the world calls it. It hangs below that one, and so changes nobody's tree,
    in which `map` may be something else.

    The other is the car's, where nobody tells of it: the bridge does so only for a car with a
    `sensor.pseudo.tf`. Two who tell would contradict each other, so `/tf` is listened to first.
    """

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._own_frame = f"{wires.node.get_name()}/map"
        self._map_frame = ""  # below which ours hangs
        self._fixed = wires.publish(TFMessage, TF_STATIC, names.LATCHED_1)
        self._told: set[str] = set()  # the frames of which others tell
        self._listened_frames = 0
        self._moving: Publisher | None = None
        self._stop_listening = wires.listen(TFMessage, TF, self._on_others, names.VOLATILE_10)

    def publish(self, odometry: Odometry) -> None:
        """Tell what is to be told at the time of this odometry."""
        header, car_frame = odometry.header, _tf_name(odometry.child_frame_id)
        map_frame = _tf_name(header.frame_id)
        if not map_frame:
            return
        if map_frame != self._map_frame:
            self._map_frame = map_frame
            self._fixed.publish(_message(header, self._own_frame))
        if self._listened_frames < LISTENED_FRAMES:
            self._listened_frames += 1
            if self._listened_frames == LISTENED_FRAMES:
                self._stop_listening()
                if car_frame and car_frame not in self._told:
                    self._moving = self._wires.publish(TFMessage, TF, names.VOLATILE_10)
        moving = self._moving
        if moving is None or not moving.get_subscription_count():
            return
        if ego_state(odometry).plausible:
            message = _message(header, car_frame)
            transform, pose = message.transforms[0].transform, odometry.pose.pose
            at, translation = pose.position, transform.translation
            translation.x, translation.y, translation.z = at.x, at.y, at.z
            transform.rotation = pose.orientation
            moving.publish(message)

    def _on_others(self, message: TFMessage) -> None:
        self._told.update(_tf_name(each.child_frame_id) for each in message.transforms)


def _message(header: Header, child_frame_id: str) -> TFMessage:
    """One transform from the header's frame, which moves nothing yet."""
    frame = Header(stamp=header.stamp, frame_id=_tf_name(header.frame_id))
    return TFMessage(transforms=[TransformStamped(header=frame, child_frame_id=child_frame_id)])


def _tf_name(frame_id: str) -> str:
    """tf2 refuses a slash before a name, which some publishers still write."""
    return frame_id.removeprefix("/")
