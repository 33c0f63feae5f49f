from dataclasses import dataclass

import numpy as np

from td3_driver.driving.routes.road_map import NARROWEST_M, pose_of
from td3_driver.driving.types import Control
from td3_driver.world.bodies.contact import Contact
from td3_driver.world.bodies.vehicle import Vehicle
from td3_driver.world.ground.lane_paint import places_along
from td3_driver.world.ground.surface import Surface
from td3_driver.world.ground.terrain import Terrain
from td3_driver.world.traffic.others import Others


class OccupiedError(ValueError): pass
@dataclass(frozen=True)
class Body:
    length_m: float; width_m: float; height_m: float; mass_kg: float; color_bgr: tuple=(1,1,1)
class Car:
    def __init__(s, pose, body, terrain):
        s.vehicle=Vehicle(pose); s.body=body; s.control=Control(); s.terrain=terrain; s.vertical_speed_mps=0.0
        s.constant_velocity_mps=None; s.simulate_physics=True; s.collides=True; s.ground=terrain.under(pose)
    @property
    def pose(s): return s.vehicle.pose
    def place(s,pose): s.vehicle.teleport(pose)
    def set_map_velocity(s,x,y,z): s.vehicle.set_map_velocity(np.array([x,y]))
class LedWalker:
    def __init__(s,pose,size): s.pose=pose; s.velocity_mps=(0.0,0.0); s.size=size
@dataclass
class Collision:
    actor_id:int; other_actor_id:int; impulse:tuple
class Scene:
    def __init__(s, road_map, seed=0, *, traffic=0, pedestrians=0, scenery=False):
        s.road_map=road_map; s.surface=Surface(road_map,seed); s.terrain=Terrain(road_map)
        lanes=[l for _,l in road_map.lane_graph.nodes(data="lane")]
        s.spawn_poses=[pose_of(p) for p in places_along(lanes,2.0) if p.width_m>=NARROWEST_M]
        s.cars={}; s.walkers={}; s.others=Others(road_map,s.surface.lanes,s.surface,traffic,pedestrians)
        s.contact=Contact(s.surface)
    def add_car(s,i,pose,body):
        if any(np.hypot(c.pose.x_m-pose.x_m,c.pose.y_m-pose.y_m)<2.5 for c in s.cars.values()): raise OccupiedError
        s.cars[i]=Car(pose,body,s.terrain); return s.cars[i]
    def add_walker(s,i,pose,size): s.walkers[i]=LedWalker(pose,size); return s.walkers[i]
    def add_prop(s,i,pose,size): pass
    def remove(s,i): return bool(s.cars.pop(i,None) or s.walkers.pop(i,None))
    def step(s,dt):
        for c in s.cars.values():
            b=c.vehicle.pose; c.vehicle.step(c.control,dt); s.contact.resolve(c.vehicle,b)
            c.ground=s.terrain.under(c.pose); c.vehicle.stand_at(c.ground.z_m)
        return []
    def bodies(s, without=()):
        return s.others.bodies()
    def solids(s, without=()):
        return None
