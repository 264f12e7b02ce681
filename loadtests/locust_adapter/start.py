"""
Locust as our command starts it: with this very package already imported.

Locust puts the working folder first on the import path, and in a checkout a folder `chainproof` lies there that is only
a part of the package.
"""

from __future__ import annotations

from locust.main import main

if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]  # Locust says no types here
