"""How do bytes become requests, and answers bytes? HTTP/1.1 over TCP, timers and the access log."""
