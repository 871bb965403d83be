"""Conditional requests: does the caller already hold this version?"""

import re

_TAG = re.compile(r'(?:W/)?("[^"]*")|\*')


def is_held(if_none_match: str | None, etag: str) -> bool:
    """Whether `If-None-Match` (a list of entity tags, or `*`) names the tag; weak tags count as their strong ones."""
    tags = [found.group(1) or "*" for found in _TAG.finditer(if_none_match or "")]
    return etag in tags or "*" in tags
