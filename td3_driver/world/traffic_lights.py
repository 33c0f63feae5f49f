import enum


class LightState(enum.IntEnum): RED=0; YELLOW=1; GREEN=2; OFF=3; UNKNOWN=4
class TriggerBox: pass
class TrafficLights:
    def __init__(s,m): s.lights=[]; s.signs=[]
    def step(s,dt): pass
