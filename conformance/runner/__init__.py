"""How does a run start, proceed and end? Setup, pytest hooks, forecast, progress, result."""
