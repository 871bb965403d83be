"""The reference image that the journey sends, and the check of the picture that it gets."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, UnidentifiedImageError

from service.demo.ending import DemoFailed

REFERENCE_SIZE_PX = (160, 120)
SKY, SEA, TOWER, LIGHT = "#f4a261", "#264653", "#e9e4d8", "#ffd166"


def reference_png() -> bytes:
    """A small drawing of a lighthouse."""
    image = Image.new("RGB", REFERENCE_SIZE_PX, SKY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 84, 160, 120), fill=SEA)
    draw.polygon([(70, 96), (90, 96), (86, 36), (74, 36)], fill=TOWER)
    draw.polygon([(86, 30), (160, 8), (160, 48)], fill=LIGHT)
    draw.ellipse((73, 22, 87, 36), fill=LIGHT)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def checked_size(content: bytes, announced: Mapping[str, Any]) -> tuple[str, int, int]:
    """Format, width and height of a picture that decodes whole and is what was announced. Raises DemoFailed."""
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            found = (str(image.format), image.width, image.height)
            mime_type = image.get_format_mimetype()
    except (UnidentifiedImageError, OSError, SyntaxError) as exc:
        raise DemoFailed(f"what was announced as a picture does not decode: {exc}") from exc
    for name, true in (("mime_type", mime_type), ("width", found[1]), ("height", found[2])):
        if announced[name] not in {None, true}:
            raise DemoFailed(f"the picture was announced with the {name} {announced[name]}, but it has {true}")
    return found
