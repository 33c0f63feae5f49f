# SPDX-License-Identifier: Apache-2.0
"""The sensors of CARLA 0.9.16 and their attributes, types, values, and recommended values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from td3_driver.carla_server.library.attributes import Attribute, AttributeType, floats, variation

_ROLES = (
    "front", "back", "left", "right", "front_left", "front_right", "back_left", "back_right",
)  # fmt: skip
_TICK = variation("sensor_tick", AttributeType.FLOAT, "0.0")
_SEED = variation("noise_seed", AttributeType.INT, "0")
_LENS = [
    variation("image_size_x", AttributeType.INT, "800"),
    variation("image_size_y", AttributeType.INT, "600"),
    *floats(
        "fov 90.0, lens_circle_falloff 5.0, lens_circle_multiplier 0.0, lens_k -1.0, "
        "lens_kcube 0.0, lens_x_size 0.08, lens_y_size 0.08"
    ),
]
_POSTPROCESSING = [
    variation("enable_postprocess_effects", AttributeType.BOOL, "true"),
    variation("exposure_mode", AttributeType.STRING, "histogram", "manual", restricted=True),
    variation("blade_count", AttributeType.INT, "5"),
    *floats(
        "exposure_compensation 0.0, shutter_speed 200.0, iso 100.0, fstop 1.4, "
        "gamma 2.2, motion_blur_intensity 0.45, motion_blur_max_distortion 0.35, "
        "motion_blur_min_object_screen_size 0.1, lens_flare_intensity 0.1, "
        "bloom_intensity 0.675, exposure_min_bright 10.0, exposure_max_bright 12.0, "
        "exposure_speed_up 3.0, exposure_speed_down 1.0, calibration_constant 16.0, "
        "focal_distance 1000.0, min_fstop 1.2, blur_amount 1.0, blur_radius 0.0, "
        "slope 0.88, toe 0.55, shoulder 0.26, black_clip 0.0, white_clip 0.04, "
        "temp 6500.0, tint 0.0, chromatic_aberration_intensity 0.0, "
        "chromatic_aberration_offset 0.0"
    ),
]
_LIDAR = [
    variation("channels", AttributeType.INT, "32"),
    variation("points_per_second", AttributeType.INT, "56000"),
    *floats(
        "range 10.0, rotation_frequency 10.0, upper_fov 10.0, lower_fov -30.0, "
        "horizontal_fov 360.0"
    ),
]
_PLACE_NOISE = floats(
    "noise_lat_stddev 0.0, noise_lat_bias 0.0, noise_lon_stddev 0.0, noise_lon_bias 0.0, "
    "noise_alt_stddev 0.0, noise_alt_bias 0.0"
)
_ACCELERATION_NOISE = floats(
    "noise_accel_stddev_x 0.0, noise_accel_stddev_y 0.0, noise_accel_stddev_z 0.0"
)
_RADIO = [
    _SEED,
    variation("scenario", AttributeType.STRING, "highway", "rural", "urban", restricted=True),
    variation("path_loss_model", AttributeType.STRING, "winner", "geometric", restricted=True),
    variation("use_etsi_fading", AttributeType.BOOL, "true"),
    *floats(
        "transmit_power 21.5, receiver_sensitivity -99.0, frequency_ghz 5.9, "
        "combined_antenna_gain 10.0, path_loss_exponent 2.7, d_ref 1.0, "
        "filter_distance 500.0, custom_fading_stddev 0.0"
    ),
]
_EVENTS = [
    variation("refractory_period_ns", AttributeType.INT, "0"),
    variation("use_log", AttributeType.BOOL, "true"),
    *floats(
        "positive_threshold 0.3, negative_threshold 0.3, sigma_positive_threshold 0.0, "
        "sigma_negative_threshold 0.0, log_eps 0.001"
    ),
]


class SensorModel(NamedTuple):
    """A sensor; `name` is CARLA's without "sensor.", `roles` are recommended for `role_name`.

    `simulated` tells whether the embedded world has it.
    """

    name: str
    attributes: list[Attribute]
    roles: tuple[str, ...]
    simulated: bool


def sensors() -> Iterator[SensorModel]:
    """All sensors of the library."""
    camera = [_TICK, *_LENS]
    yield SensorModel("camera.rgb", [*camera, *_POSTPROCESSING], _ROLES, True)
    yield SensorModel("camera.depth", camera, _ROLES, True)
    yield SensorModel("camera.semantic_segmentation", camera, _ROLES, True)
    for name in ("instance_segmentation", "optical_flow", "normals", "cosmos_visualization"):
        yield SensorModel(f"camera.{name}", camera, _ROLES, False)
    yield SensorModel("camera.dvs", [*camera, *_POSTPROCESSING, *_EVENTS], _ROLES, False)
    returns = floats(
        "atmosphere_attenuation_rate 0.004, dropoff_general_rate 0.45, "
        "dropoff_intensity_limit 0.8, dropoff_zero_intensity 0.4, noise_stddev 0.0"
    )
    yield SensorModel("lidar.ray_cast", [_TICK, *_LIDAR, _SEED, *returns], _ROLES, False)
    yield SensorModel("lidar.ray_cast_semantic", [_TICK, *_LIDAR], _ROLES, False)
    yield SensorModel("other.collision", [], _ROLES, True)
    yield SensorModel("other.lane_invasion", [], _ROLES, True)
    obstacle = [
        _TICK,
        *floats("distance 5.0, hit_radius 0.5"),
        variation("only_dynamics", AttributeType.BOOL, "false"),
        variation("debug_linetrace", AttributeType.BOOL, "false"),
    ]
    yield SensorModel("other.obstacle", obstacle, _ROLES, True)
    nobody = ("default",)
    yield SensorModel("other.gnss", [_TICK, _SEED, *_PLACE_NOISE], nobody, True)
    gyroscope = floats(
        "noise_gyro_stddev_x 0.0, noise_gyro_stddev_y 0.0, noise_gyro_stddev_z 0.0, "
        "noise_gyro_bias_x 0.0, noise_gyro_bias_y 0.0, noise_gyro_bias_z 0.0"
    )
    yield SensorModel("other.imu", [_TICK, _SEED, *_ACCELERATION_NOISE, *gyroscope], nobody, True)
    radar = [
        _TICK,
        _SEED,
        variation("points_per_second", AttributeType.INT, "1500"),
        *floats("horizontal_fov 30, vertical_fov 30, range 100"),
    ]
    yield SensorModel("other.radar", radar, nobody, False)
    yield SensorModel("other.rss", [], _ROLES, False)
    messages = [
        variation("fixed_rate", AttributeType.BOOL, "false"),
        *floats("gen_cam_min 0.1, gen_cam_max 1.0"),
        *_PLACE_NOISE,
        *_ACCELERATION_NOISE,
        *floats(
            "noise_head_stddev 0.0, noise_head_bias 0.0, noise_yawrate_stddev 0.0, "
            "noise_yawrate_bias 0.0, noise_vel_stddev_x 0.0"
        ),
    ]
    yield SensorModel("other.v2x", [_TICK, *_RADIO, *messages], nobody, False)
    yield SensorModel("other.v2x_custom", [_TICK, *_RADIO], nobody, False)
