"""
Serve a chain with the service's own library on loopback: `python serve_truss_chain.py FILE.py CLASS FOLDER PORT`

Runs with the Python of a virtual environment that has truss. It generates the chain's server as a deployment does, puts
the server's files beside it as in the container, and starts it.
"""

import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import truss.templates
import uvicorn


def generate(source: Path, name: str, folder: Path) -> Path:
    """The folder with the generated server of a class."""
    tempfile.tempdir = str(folder)  # truss generates below the temporary folder
    from truss_chains import framework  # noqa: PLC0415  # reads the temporary folder when it is imported
    from truss_chains.deployment import code_gen  # noqa: PLC0415  # as above

    with framework.ChainletImporter.import_target(source, name) as cls:
        return Path(code_gen.gen_truss_chainlet(source.parent, "sample", framework.get_descriptor(cls)))


def assemble(generated: Path, folder: Path) -> Path:
    """The folder of the running server: the library's files, and those generated for the chain."""
    templates = Path(truss.templates.__file__).parent
    app = folder / "app"
    for part, place in ((templates / "server", app), (templates / "shared", app / "_truss_shared"), (generated, app)):
        shutil.copytree(part, place, dirs_exist_ok=True)
    return app


def serve(app: Path, port: int) -> None:
    """Serve on loopback; the library listens on all addresses."""
    os.chdir(app)
    sys.path[:0] = [str(app), str(app / "packages")]
    configure = uvicorn.Config.__init__

    @functools.wraps(configure)
    def configure_loopback(config, *arguments, **options):  # noqa: ANN001, ANN002, ANN003, ANN202  # wraps the library's own
        configure(config, *arguments, **{**options, "host": "127.0.0.1"})

    uvicorn.Config.__init__ = configure_loopback
    from truss_server import TrussServer  # noqa: PLC0415  # one of the files that were put together

    TrussServer(port, "config.yaml").start()


def main(source: str, name: str, folder: str, port: str) -> None:
    """Generate and serve."""
    place = Path(folder).resolve()
    os.environ["HOME"] = str(place)  # the server writes to the home folder
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # truss formats with ruff
    serve(assemble(generate(Path(source).resolve(), name, place), place), int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
