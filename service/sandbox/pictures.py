"""Pictures that show what was asked: the size of each ratio and resolution, and the PNG itself, drawn when fetched."""

import hashlib
import io
import textwrap
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

_LONG_SIDE_PX = {"512": 512, "1K": 1024, "2K": 2048, "3K": 3072, "4K": 4096}
_SHORT_SIDE_PX = {"720p": 720, "1080p": 1080}
PREVIEW_LONG_SIDE_PX = 384
_INK, _SOFT = 255, 70


@dataclass(frozen=True, slots=True)
class Sketch:
    """Everything that a picture shows; equal sketches are equal pictures."""

    width: int
    height: int
    prompt: str
    caption: str
    references: tuple[str, ...]


def size_px(aspect_ratio: str | None, resolution: str | None) -> tuple[int, int]:
    """Width and height: 512 and nK name the long side, 720p and 1080p the short one; auto is square, None is 1K."""
    ratio = _ratio(aspect_ratio)
    short = _SHORT_SIDE_PX.get(resolution or "")
    if short is not None:
        return (round(short * ratio), short) if ratio >= 1 else (short, round(short / ratio))
    long = _LONG_SIDE_PX.get(resolution or "1K", 1024)
    return (long, round(long / ratio)) if ratio >= 1 else (round(long * ratio), long)


def _ratio(text: str | None) -> float:
    width, _, height = (text or "1:1").partition(":")
    try:
        return float(width) / float(height)
    except (ValueError, ZeroDivisionError):
        return 1.0


def preview_of(sketch: Sketch) -> Sketch:
    """The same picture, small."""
    scale = min(1.0, PREVIEW_LONG_SIDE_PX / max(sketch.width, sketch.height))
    width, height = max(1, round(sketch.width * scale)), max(1, round(sketch.height * scale))
    return Sketch(width, height, sketch.prompt, sketch.caption, sketch.references)


@lru_cache(maxsize=64)
def png(sketch: Sketch) -> bytes:
    """The PNG of a sketch. One byte per pixel while drawing, so 4K costs 16 MB and tens of milliseconds."""
    picture = Image.new("L", (sketch.width, sketch.height), 0)
    _draw(ImageDraw.Draw(picture), sketch)
    picture.putpalette(_palette(sketch.prompt))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def _draw(pen: ImageDraw.ImageDraw, sketch: Sketch) -> None:
    short = min(sketch.width, sketch.height)
    margin = max(4, short // 20)
    text_px = max(10, min(short // 14, sketch.width // 16))
    columns = max(6, int((sketch.width - 2 * margin) / (text_px * 0.55)))
    rows = max(1, int((sketch.height * 0.6 - margin) / (text_px * 1.35)))
    words = textwrap.wrap(sketch.prompt, columns, max_lines=rows, placeholder=" …")
    pen.rectangle((margin // 2, margin // 2, sketch.width - margin // 2, sketch.height - margin // 2), outline=_SOFT)
    pen.multiline_text((margin, margin), "\n".join(words), _INK, ImageFont.load_default(text_px), spacing=text_px // 3)
    small = ImageFont.load_default(max(9, text_px // 2))
    pen.text((margin, sketch.height - margin), sketch.caption, 170, small, anchor="ls")
    _draw_references(pen, sketch, margin, text_px)


def _draw_references(pen: ImageDraw.ImageDraw, sketch: Sketch, margin: int, text_px: int) -> None:
    """One box per asset above the caption, so that a person sees that its references arrived, and in which order."""
    font = ImageFont.load_default(max(8, text_px // 2))
    box_height = max(12, text_px)
    left, top = margin, sketch.height - 2 * margin - box_height
    for label in sketch.references:
        box_width = int(font.getlength(label)) + text_px // 2
        if left + box_width > sketch.width - margin:
            return
        pen.rectangle((left, top, left + box_width, top + box_height), fill=_SOFT, outline=170)
        pen.text((left + box_width // 2, top + box_height // 2), label, _INK, font, anchor="mm")
        left += box_width + margin // 3 + 1


def _palette(prompt: str) -> list[int]:
    """256 shades from a dark ground, whose hue is the prompt's own, to white ink."""
    ground = [24 + byte // 3 for byte in hashlib.sha256(prompt.encode()).digest()[:3]]
    return [round(dark + (255 - dark) * level / 255) for level in range(256) for dark in ground]
