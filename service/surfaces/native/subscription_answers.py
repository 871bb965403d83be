"""How the OpenAPI document describes the subscription endpoints."""

from typing import Any

from service.surfaces.native import subscription_examples as examples
from service.surfaces.native.subscription_shapes import RotationFields, SubscriptionChanges, SubscriptionFields
from service.web.openapi import Responses, json_answer, json_body, problem_answers

CREATE_BODY: dict[str, Any] = {
    "required": True,
    "content": json_body(SubscriptionFields, examples.SUBSCRIPTION_REQUESTS),
}
CHANGE_BODY: dict[str, Any] = {"required": True, "content": json_body(SubscriptionChanges, examples.CHANGE_REQUESTS)}
ROTATION_BODY: dict[str, Any] = {"required": True, "content": json_body(RotationFields, examples.ROTATION_REQUESTS)}

CREATED: Responses = {
    201: json_answer("Events go there from now on.", examples.CREATED_SUBSCRIPTION, {"Location": "Where to get it."}),
    **problem_answers(400, 401, 409, 413, 415, 422, 503),
}
LISTED: Responses = {
    200: json_answer("A page of subscriptions.", {"items": [examples.SUBSCRIPTION], "next_cursor": None}),
    **problem_answers(400, 401, 422, 503),
}
FOUND: Responses = {
    200: json_answer("The subscription, without its secret.", examples.SUBSCRIPTION),
    **problem_answers(400, 401, 404, 503),
}
CHANGED: Responses = {
    200: json_answer("The subscription as it is now.", examples.PAUSED_SUBSCRIPTION),
    **problem_answers(400, 401, 404, 413, 415, 422, 503),
}
DELETED: Responses = {204: {"description": "It is gone."}, **problem_answers(400, 401, 404, 503)}
ROTATED: Responses = {
    200: json_answer("The subscription with its new secret.", examples.ROTATED_SUBSCRIPTION),
    **problem_answers(400, 401, 404, 409, 413, 415, 422, 503),
}
PINGED: Responses = {
    200: json_answer("What was sent and what came back, whether it was taken or not.", examples.PING),
    **problem_answers(400, 401, 404, 409, 429, 503),
}
