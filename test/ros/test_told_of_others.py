# SPDX-License-Identifier: Apache-2.0
"""What messages tell of others: who they are, and how hard the car hit them."""

import math

from carla_msgs.msg import CarlaCollisionEvent
from derived_object_msgs.msg import Object, ObjectArray
from geometry_msgs.msg import Vector3
from shape_msgs.msg import SolidPrimitive

from td3_driver.driving.judging.infractions import Impact
from td3_driver.driving.messages.decoding import impact, road_users


def test_a_collision_has_its_actor_and_its_impulse() -> None:
    event = CarlaCollisionEvent(other_actor_id=7, normal_impulse=Vector3(x=3.0, y=-4.0, z=12.0))
    assert impact(event) == Impact(7, 13.0)
    event.normal_impulse.x = math.nan
    assert impact(event) == Impact(7, 0.0)


def test_road_users_have_their_actors_and_what_they_are() -> None:
    shape = SolidPrimitive(dimensions=[4.0, 2.0, 1.5])
    kinds = {7: Object.CLASSIFICATION_CAR, 8: Object.CLASSIFICATION_PEDESTRIAN, 9: 0}
    objects = []
    for actor_id, kind in kinds.items():
        objects.append(Object(id=actor_id, classification=kind, shape=shape))
        objects[-1].pose.orientation.w = 1.0
    lost = Object(id=10, shape=shape)
    lost.pose.position.x = math.nan
    found = road_users(ObjectArray(objects=[*objects[:1], lost, *objects[1:]]))
    assert found.actor_ids.tolist() == [7, 8, 9]
    assert found.walking.tolist() == [False, True, False]
