"""Settings of the drop-in and OpenAI surfaces, of result images, and of the end of a process."""

from typing import Literal

from pydantic import Field

from service.settings.kinds import Seconds, Texts
from service.settings.notifications import NotificationSettings


class SurfaceSettings(NotificationSettings):
    """What the surfaces need beside the tasks themselves."""

    join_window_s: Seconds = Field(
        120.0, description="An identical drop-in request joins one that was never answered, for this long."
    )
    credits_fresh_s: Seconds = Field(10.0, description="Balance and providers' health are asked for anew after this.")
    openai_wait_max_s: Seconds = Field(
        240.0, description="Longest wait in an OpenAI request; then the client library comes again and joins."
    )
    image_urls: Literal["upstream", "gateway"] = Field(
        "upstream", description="Whose image URLs tasks show; the gateway's are signed and expire."
    )
    image_url_life_s: Seconds = Field(604_800.0, description="A signed image URL is good for this long.")
    image_max_bytes: int = Field(64 * 1024**2, ge=1024, description="Largest picture that is passed through.")
    image_allow: Texts = Field(
        ("*",), description="Networks and host suffixes that pictures are fetched from; `*` is every public address."
    )
    drain_timeout_s: Seconds = Field(135.0, description="After SIGTERM, calls in flight get this long to end.")
