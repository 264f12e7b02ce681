"""How are numbers, names and results written? The same way in every report format."""
