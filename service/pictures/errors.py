"""What can go wrong with a result image; `service/errors.py` has the rest of the family."""

from service.errors import GatewayError, UpstreamError


class ImageUrlRefused(GatewayError):
    """The signature of this image URL is not ours, or it has expired; the URL without it takes an API key."""

    status, code, title = 403, "image_url_refused", "Image URL refused"


class ImageUnavailable(UpstreamError):
    """The picture cannot be had from where the image API keeps it."""

    code, title = "image_unavailable", "Image unavailable"


class ImageTimeout(ImageUnavailable):
    """The picture did not come in time from where the image API keeps it; try again."""

    status, code, title = 504, "image_timeout", "Image timeout"
