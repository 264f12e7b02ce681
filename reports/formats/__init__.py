"""Which formats does a report have? One module each, with a function `render` from a report to text."""
