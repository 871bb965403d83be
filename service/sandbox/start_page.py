"""The page at /: how a client team develops against the sandbox, with every knob and what it stands at."""

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any, get_args

from pydantic.fields import FieldInfo

from service.sandbox.knobs import Knob
from service.sandbox.moods import MOOD_GROUPS, Moods
from service.sandbox.upstream import Upstream

_TEMPLATE = Template(Path(__file__).with_name("start_page.html").read_text(encoding="utf-8"))


def start_page(upstream: Upstream, base_url: str) -> str:
    """HTML for this sandbox as it stands now."""
    ledger = upstream.ledger(0)
    return _TEMPLATE.substitute(
        base_url=escape(base_url),
        key=escape(min(upstream.settings.api_keys)),
        models=len(upstream.catalogue.models),
        creates=ledger["creates_total"],
        open=ledger["open"],
        highest_open=ledger["highest_open"],
        balance=f"{ledger['balance']:,}",
        knobs=knob_tables(upstream.moods),
    )


def knob_tables(moods: Moods) -> str:
    """One table per group of knobs, from their own descriptions."""
    return "\n".join(_group_table(group, moods) for group in MOOD_GROUPS)


def _group_table(group: type[Knob], moods: Moods) -> str:
    rows = "\n".join(_row(name, group.model_fields[name], getattr(moods, name)) for name in group.__annotations__)
    heading = escape((group.__doc__ or "").rstrip("."))
    columns = "<tr><th>knob</th><th>takes</th><th>now</th><th>what it does</th></tr>"
    return f"<h3>{heading}</h3>\n<table>\n{columns}\n{rows}\n</table>"


def _row(name: str, knob: FieldInfo, now: object) -> str:
    parts = _parts(type(now)) if isinstance(now, Knob) else ""
    shown = now.model_dump() if isinstance(now, Knob) else now
    takes = "parts" if parts else escape(_kind(knob.annotation))
    return (
        f"<tr><td><code>{name}</code></td><td>{takes}</td><td><code>{escape(json.dumps(shown))}</code></td>"
        f"<td>{escape(knob.description or '')}{parts}</td></tr>"
    )


def _parts(kind: type[Knob]) -> str:
    items = "".join(
        f"<li><code>{name}</code> <i>{escape(_kind(part.annotation))}</i> {escape(part.description or '')}</li>"
        for name, part in kind.model_fields.items()
    )
    return f"<ul>{items}</ul>"


def _kind(annotation: Any) -> str:
    choices = get_args(annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return " | ".join(choices)
    return (
        annotation.__name__ if isinstance(annotation, type) and not choices else str(annotation).replace("typing.", "")
    )
