"""The corruption functions that a definition file may name."""

from __future__ import annotations

from pcbench.corruptions.bar_noise import (
    BlueNoiseSample,
    BrownishNoise,
    CocentricSineWaves,
    PerlinNoise,
    PlasmaNoise,
    SingleFrequencyGreyscale,
)
from pcbench.corruptions.bar_optics import CausticRefraction, CheckerboardCutout, InverseSparkles, Sparkles
from pcbench.corruptions.blur import DefocusBlur, GaussianBlur, GlassBlur, MotionBlur, ZoomBlur
from pcbench.corruptions.corruption import Corruption
from pcbench.corruptions.digital import (
    Brightness,
    Contrast,
    ElasticTransform,
    JpegCompression,
    Pixelate,
    Saturate,
)
from pcbench.corruptions.noise import GaussianNoise, ImpulseNoise, ShotNoise, SpeckleNoise
from pcbench.corruptions.weather import Fog, Frost, Snow, Spatter

FUNCTIONS: dict[str, type[Corruption]] = {
    "gaussian_noise": GaussianNoise,
    "shot_noise": ShotNoise,
    "impulse_noise": ImpulseNoise,
    "defocus_blur": DefocusBlur,
    "glass_blur": GlassBlur,
    "motion_blur": MotionBlur,
    "zoom_blur": ZoomBlur,
    "snow": Snow,
    "frost": Frost,
    "fog": Fog,
    "brightness": Brightness,
    "contrast": Contrast,
    "elastic_transform": ElasticTransform,
    "pixelate": Pixelate,
    "jpeg_compression": JpegCompression,
    "speckle_noise": SpeckleNoise,
    "gaussian_blur": GaussianBlur,
    "spatter": Spatter,
    "saturate": Saturate,
    "blue_noise_sample": BlueNoiseSample,
    "brownish_noise": BrownishNoise,
    "caustic_refraction": CausticRefraction,
    "checkerboard_cutout": CheckerboardCutout,
    "cocentric_sine_waves": CocentricSineWaves,
    "inverse_sparkles": InverseSparkles,
    "perlin_noise": PerlinNoise,
    "plasma_noise": PlasmaNoise,
    "single_frequency_greyscale": SingleFrequencyGreyscale,
    "sparkles": Sparkles,
}
"""In the order of ImageNet-C's 15, then its extra four, then ImageNet-C-bar's ten, then those of this project."""
