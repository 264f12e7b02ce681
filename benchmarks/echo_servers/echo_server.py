"""
An echo chain behind a common Python server: `python echo_server.py SERVER PORT`.

Each server runs in its default configuration. Only the standard library is imported before the server is known.
"""

# mypy: ignore-errors
# ruff: noqa: PLC0415, ANN001, ANN201, ANN202, N815  # servers are imported only where they run; each dictates its own names

from __future__ import annotations

import json
import os
import sys

KEY = os.environ["BASETEN_API_KEY"]
PATH = "/production/run_remote"
WSGI = "echo_server:wsgi"
ASGI = "echo_server:asgi"


def answer(method: str, path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
    """The status and body of an answer."""
    if path != PATH:
        return 404, b'{"error":"not found"}'
    if method != "POST":
        return 405, b'{"error":"method not allowed"}'
    if authorization != f"Api-Key {KEY}":
        return 401, b'{"error":"unauthorized"}'
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    return (200, body) if isinstance(value, dict) else (400, b'{"error":"expected an object"}')


def wsgi(environ, start_response):
    """The WSGI application."""
    body = environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else _wsgi_body(environ)
    status, body = answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", ""), body)
    start_response(f"{status} X", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _wsgi_body(environ):
    """The body, as long as the server says that it is."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        return environ["wsgi.input"].read(int(length))
    return environ["wsgi.input"].read() if environ.get("HTTP_TRANSFER_ENCODING") else b""


async def asgi(scope, receive, send):
    """The ASGI application."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event.get("body", b"")
        more = event.get("more_body", False)
    authorization = b", ".join(value for name, value in scope["headers"] if name == b"authorization").decode("latin-1")
    status, body = answer(scope["method"], scope["path"], authorization, body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def run_uvicorn(port: int, parser: str) -> None:
    """Serve with uvicorn."""
    import uvicorn

    uvicorn.run(ASGI, host="127.0.0.1", port=port, http=parser, log_level="error")


def run_hypercorn(port: int) -> None:
    """Serve with Hypercorn."""
    from hypercorn.config import Config
    from hypercorn.run import run as serve

    config = Config()
    config.bind, config.application_path, config.worker_class = [f"127.0.0.1:{port}"], ASGI, "asyncio"
    serve(config)


def run_granian(port: int) -> None:
    """Serve with Granian."""
    from granian import Granian

    Granian(ASGI, address="127.0.0.1", port=port, interface="asgi").serve()


def run_daphne(port: int) -> None:
    """Serve with Daphne."""
    from daphne.cli import CommandLineInterface

    CommandLineInterface().run(["-b", "127.0.0.1", "-p", str(port), "-v", "0", ASGI])


def run_gunicorn(port: int, worker: str) -> None:
    """Serve with Gunicorn."""
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "-b", f"127.0.0.1:{port}", "-k", worker, "--log-level", "critical", WSGI]
    run()


def run_waitress(port: int) -> None:
    """Serve with Waitress."""
    import waitress

    waitress.serve(wsgi, host="127.0.0.1", port=port, _quiet=True)


def run_cheroot(port: int) -> None:
    """Serve with Cheroot, the server of CherryPy."""
    from cheroot.wsgi import Server

    Server(("127.0.0.1", port), wsgi).start()


def run_gevent(port: int) -> None:
    """Serve with gevent's WSGI server."""
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), wsgi, log=None).serve_forever()


def run_bjoern(port: int) -> None:
    """Serve with bjoern."""
    import bjoern

    bjoern.run(wsgi, "127.0.0.1", port)


def run_werkzeug(port: int) -> None:
    """Serve with Werkzeug's development server, as `flask run` does."""
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, wsgi, threaded=True)


def run_aiohttp(port: int) -> None:
    """Serve with aiohttp."""
    from aiohttp import web

    async def handle(request):
        authorization = ", ".join(request.headers.getall("Authorization", []))
        status, body = answer(request.method, request.path, authorization, await request.read())
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def run_tornado(port: int) -> None:
    """Serve with Tornado."""
    import asyncio

    from tornado.web import Application, RequestHandler

    class Echo(RequestHandler):
        def post(self):
            authorization = self.request.headers.get("Authorization", "")
            status, body = answer("POST", self.request.path, authorization, self.request.body)
            self.set_status(status)
            self.set_header("Content-Type", "application/json")
            self.write(body)

    async def serve():
        Application([(r".*", Echo)]).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(serve())


def run_twisted(port: int) -> None:
    """Serve with Twisted."""
    from twisted.internet import reactor
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Echo(Resource):
        isLeaf = True

        def render(self, request):
            authorization = (request.getHeader("authorization") or "").strip()
            status, body = answer(
                request.method.decode("latin-1"), request.path.decode("latin-1"), authorization, request.content.read()
            )
            request.setResponseCode(status)
            request.setHeader("Content-Type", "application/json")
            return body

    reactor.listenTCP(port, Site(Echo()), interface="127.0.0.1")
    reactor.run()


SERVERS = {
    "uvicorn-h11": lambda port: run_uvicorn(port, "h11"),
    "uvicorn-httptools": lambda port: run_uvicorn(port, "httptools"),
    "hypercorn": run_hypercorn,
    "granian": run_granian,
    "daphne": run_daphne,
    "gunicorn-sync": lambda port: run_gunicorn(port, "sync"),
    "gunicorn-gthread": lambda port: run_gunicorn(port, "gthread"),
    "waitress": run_waitress,
    "cheroot": run_cheroot,
    "gevent": run_gevent,
    "bjoern": run_bjoern,
    "werkzeug": run_werkzeug,
    "aiohttp": run_aiohttp,
    "tornado": run_tornado,
    "twisted": run_twisted,
}


if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]))
