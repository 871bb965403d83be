"""/docs: the API's pages, from files in the image; a browser in a closed network needs nothing from outside."""

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

FILES = "docs/files"
PARAMETERS = {"persistAuthorization": True, "displayRequestDuration": True, "defaultModelsExpandDepth": 0}


def install_docs_page(app: FastAPI) -> None:
    """Serve the page and its files. Paths are relative, so that it works below any prefix of a proxy."""

    async def docs(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{FILES}/swagger-ui.css",
            swagger_favicon_url=f"{FILES}/favicon-32x32.png",
            swagger_ui_parameters=PARAMETERS,
        )

    app.add_route("/docs", docs, include_in_schema=False)
    app.mount(f"/{FILES}", StaticFiles(packages=[("fastapi_swagger", "resources")]))
