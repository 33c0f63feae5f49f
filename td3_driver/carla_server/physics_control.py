from td3_driver.carla_server.structures import *


def of(pose, body): return VehiclePhysicsControl()
def telemetry(c,v): return []
def wheel_angle_deg(c): return 0.0
