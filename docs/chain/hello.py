"""
A small chain: it greets people. On Baseten its class would derive from truss_chains.ChainletBase; nothing here needs to.
"""

from pydantic import BaseModel, Field


class Greetings(BaseModel):
    """
    What `run_remote` returns.
    """

    greetings: list[str]
    longest: int = Field(ge=0, description="Characters of the longest greeting.")


class Hello:
    """
    The entrypoint of the chain.
    """

    def run_remote(self, names: list[str], greeting: str = "Hello") -> Greetings:
        """Greet everybody; nobody in particular when *names* is empty."""
        if greeting == "":
            raise ValueError("expected a greeting, found an empty one")
        lines = [f"{greeting}, {name}" for name in names]
        return Greetings(greetings=lines, longest=max(map(len, lines), default=0))
