"""A chain whose output is not an object, and that raises an exception."""


class TextChain:
    """Returns text; raises for odd numbers."""

    def run_remote(self, number: int = 0) -> str:
        if number % 2:
            raise ValueError("expected an even number")
        return "Hello"
