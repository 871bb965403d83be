"""How a price is shown, whether it was asked for alone or with a request that is only checked."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import orjson
from starlette.responses import Response

from service.catalog.check import Wanted
from service.catalog.price import Quote


def priced_response(wanted: Wanted, priced: Quote, more: Mapping[str, object]) -> Response:
    """What was asked for, what it costs and since when that is known, behind what else there is to say."""
    answer = {
        **more,
        "credits": _number(priced.credits),
        "model_id": wanted.model_id,
        "generations_count": wanted.generations_count,
        "model_parameters": wanted.model_parameters,
        "asset_count": wanted.asset_count,
        "priced_at": _moment(priced.priced_at),
    }
    return Response(orjson.dumps(answer), media_type="application/json", headers={"Cache-Control": "no-store"})


def _number(amount: Decimal) -> int | float:
    """A JSON number: whole where the amount is whole."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
