"""A small chain that greets people. On Baseten its class would derive from truss_chains.ChainletBase; here it need not."""

from pydantic import BaseModel, Field


class Greetings(BaseModel):
    """What `run_remote` returns."""

    greetings: list[str]
    longest: int = Field(ge=0, description="Characters of the longest greeting.")


class Hello:
    """The entrypoint of the chain."""

    def run_remote(self, names: list[str], greeting: str = "Hello") -> Greetings:
        """A greeting for each name."""
        if greeting == "":
            raise ValueError("expected a greeting, found an empty one")
        lines = [f"{greeting}, {name}" for name in names]
        return Greetings(greetings=lines, longest=max(map(len, lines), default=0))
