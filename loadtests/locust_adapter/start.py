"""
Start Locust after importing this package.

Locust puts the working folder first on the import path. In a checkout that folder contains a folder `chainproof` with
only a part of the package.
"""

from __future__ import annotations

from locust.main import main

if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]  # Locust has no type hints here
