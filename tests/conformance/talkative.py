"""
A chain that shows what an echo chain cannot: an output that is no object, and an exception.
"""


class TextChain:
    """
    Returns text, and raises at odd numbers.
    """

    def run_remote(self, number: int = 0) -> str:
        if number % 2:
            raise ValueError("expected an even number")
        return "Hello"
