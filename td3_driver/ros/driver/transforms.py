# SPDX-License-Identifier: Apache-2.0
"""Transforms for RViz and Foxglove that nobody else publishes in `/tf`."""

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

# Frames after which nobody else is taken to publish the car's transform.
LISTENED_FRAMES = 20


class Transforms:
    """Publishes two transforms, given the odometry of each image.

    One is for our frame `<node>/map`, in which the views of `config/` show things: the same as
    odometry's frame, whatever its name. It is a child of that frame, and so does not change
    anybody's tree, in which `map` may be something else.

    The other is for the car's frame, if nobody else publishes it: the bridge does so only for a
    car with a `sensor.pseudo.tf`. Two publishers would contradict each other, so it listens to
    `/tf` first.
    """

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._own_frame = f"{wires.node.get_name()}/map"
        self._map_frame = ""  # the parent of our frame
        self._fixed = wires.publish(TFMessage, TF_STATIC, names.LATCHED_1)
        self._told: set[str] = set()  # frames whose transforms others publish
        self._listened_frames = 0
        self._moving: Publisher | None = None
        self._stop_listening = wires.listen(TFMessage, TF, self._on_others, names.VOLATILE_10)

    def publish(self, odometry: Odometry) -> None:
        """Publish the transforms that are due at the time of this odometry."""
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
    """Return an identity transform from the header's frame."""
    frame = Header(stamp=header.stamp, frame_id=_tf_name(header.frame_id))
    return TFMessage(transforms=[TransformStamped(header=frame, child_frame_id=child_frame_id)])


def _tf_name(frame_id: str) -> str:
    """Remove a leading slash, which some publishers still write and tf2 refuses."""
    return frame_id.removeprefix("/")
