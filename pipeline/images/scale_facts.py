"""What EXIF and XMP say about a photo's scale: distances, focal lengths, and how large the camera made the picture.

Here stands which maker writes what; millimetres are up to `measurement.scale`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import ExifTags

from pipeline.images.exif import Metadata
from pipeline.images.exif_values import parse_number, parse_text
from pipeline.images.xmp import is_of_drone

SHAPE_TOLERANCE = 0.02
"""How far the shape of a picture may be from what EXIF says; one that is further off was cropped."""
CENTRE_TOLERANCE = 0.05
"""How far from the middle a calibrated optical centre may lie, share of half the long side. A calibration of the lens
puts it within one hundredth; one further off is of a picture of another size, or of another lens of the camera."""
SQUARE_TOLERANCE = 0.1
"""How far the two focal lengths of a calibration, in columns and in rows, may differ: pixels are square."""

_UNIT_MM: Mapping[float, float] = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""EXIF's FocalPlaneResolutionUnit: inch and centimetre, and besides the standard millimetre and micrometre."""


@dataclass(frozen=True)
class ScaleFacts:
    """What a photo says about its scale; None for what is missing or cannot be."""

    laser_distance_m: float | None = None
    """To the middle of the picture. DJI's rangefinder vouches for it in the state normal, not too close, too far or
    without a signal."""
    subject_distance_m: float | None = None
    """To where the camera focused: a guess of its autofocus."""
    full_width_px: float | None = None
    """Width of the upright picture as the camera recorded it, for which focal lengths hold; None for a crop."""
    full_height_px: float | None = None
    """Its height."""
    calibrated_focal_px: float | None = None
    """Focal length that the maker has measured or designed, pixels of the full picture."""
    focal_length_mm: float | None = None
    focal_plane_px_per_mm: float | None = None
    """Pixels of the full picture to a millimetre of the sensor."""
    focal_length_35mm: float | None = None
    """Focal length that shows as much on 35 mm film, millimetres."""
    digital_zoom: float | None = None
    """How many times the camera enlarged the picture; no maker says whether its focal lengths include it."""
    gimbal_pitch_deg: float | None = None
    """Where the camera points: 0 is the horizon, -90 straight down."""
    map_mm_per_px: float | None = None
    """What a pixel spans on the map, of a window of a raster."""


def parse_scale_facts(metadata: Metadata, height_px: int, width_px: int) -> ScaleFacts:
    """Interpret metadata; whatever they hold, none fails a photo.

    Args:
        metadata: EXIF and XMP.
        height_px: of the decoded photo, upright.
        width_px: likewise.
    """
    details, tags, long_px = metadata.details, ExifTags.Base, max(height_px, width_px)
    full_px = _find_long_side(details, long_px, min(height_px, width_px))
    properties = metadata.properties if is_of_drone(metadata.info) else {}
    get = properties.get
    has_laser = (parse_text(get("drone-dji:LRFStatus")) or "").casefold() == "normal"
    pitch_deg = parse_number(get("drone-dji:GimbalPitchDegree") or get("drone-skydio:CameraOrientationNED/Pitch"))
    return ScaleFacts(
        laser_distance_m=_positive(get("drone-dji:LRFTargetDistance")) if has_laser else None,
        subject_distance_m=_positive(details.get(tags.SubjectDistance)),
        full_width_px=None if full_px is None else width_px * full_px / long_px,
        full_height_px=None if full_px is None else height_px * full_px / long_px,
        calibrated_focal_px=None if full_px is None else _find_calibrated_focal(properties, full_px),
        focal_length_mm=_positive(details.get(tags.FocalLength)),
        focal_plane_px_per_mm=_find_focal_plane(details),
        focal_length_35mm=_positive(details.get(tags.FocalLengthIn35mmFilm)),
        digital_zoom=_positive(details.get(tags.DigitalZoomRatio)),
        gimbal_pitch_deg=pitch_deg if pitch_deg is not None and abs(pitch_deg) <= 180 else None,
    )


def _find_long_side(details: Mapping[int, object], long_px: int, short_px: int) -> float | None:
    """Return the long side of the full picture; None for a picture of another shape than EXIF says.

    Programs that turn or shrink pictures often leave EXIF as it was, so the long sides are compared.
    """
    size = [_positive(details.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
    sides = sorted(side for side in size if side is not None)
    if len(sides) == 2 and abs(sides[1] / sides[0] * short_px / long_px - 1) > SHAPE_TOLERANCE:
        return None
    return max(sides, default=float(long_px))


def _find_calibrated_focal(properties: Mapping[str, str], full_px: float) -> float | None:
    """Return DJI's or Skydio's calibrated focal length, pixels, if it is one of a picture of this size.

    DJI: user manuals of the Zenmuse P1, Mavic 3 and Matrice 4, section "Data Storage". Skydio: "Camera and metadata
    overview" in its help centre; its DewarpData has no focal length.
    """
    get = properties.get
    centre = [get(f"drone-dji:CalibratedOpticalCenter{axis}") or get(f"drone-skydio:CalibratedOpticalCenter/{axis}")
              for axis in "XY"]  # fmt: skip
    middle_px = max((place for text in centre if (place := _positive(text))), default=full_px / 2)
    if abs(2 * middle_px / full_px - 1) > CENTRE_TOLERANCE:
        return None
    focal_lengths = (
        _parse_dewarp_data(get("drone-dji:DewarpData")),
        _parse_dewarp_data(get("drone-dji:DewarpDataK6")),
        _positive(get("drone-dji:CalibratedFocalLength")),
        _positive(get("drone-skydio:CalibratedFocalLength/X")),
    )
    return next((focal_px for focal_px in focal_lengths if focal_px is not None), None)


def _parse_dewarp_data(text: str | None) -> float | None:
    """Return the focal length of DJI's `date;fx,fy,cx,cy,k1,k2,p1,p2,k3`, of which the date may be missing."""
    focal_x, focal_y = [*map(_positive, (text or "").rpartition(";")[2].split(",")), None][:2]
    is_square = focal_x is not None and focal_y is not None and abs(focal_x / focal_y - 1) <= SQUARE_TOLERANCE
    return focal_x if is_square else None


def _find_focal_plane(details: Mapping[int, object]) -> float | None:
    """Return the pixels to a millimetre of the sensor; an inch is EXIF's default unit."""
    resolution = _positive(details.get(ExifTags.Base.FocalPlaneXResolution))
    unit_mm = _UNIT_MM.get(parse_number(details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)) or 0)
    return None if resolution is None or unit_mm is None else resolution / unit_mm


def _positive(value: object) -> float | None:
    number = parse_number(value)
    return number if number is not None and number > 0 else None
