"""JSON Merge Patch (RFC 7396), for PATCH: what is named changes, null takes away, all else stays; pure."""

from collections.abc import Mapping


def merged(target: object, patch: object) -> object:
    """The target after the patch; neither of the two is changed. Objects merge member by member, lists do not."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
