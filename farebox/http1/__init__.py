"""HTTP/1.1 on the event loop: llhttp (through httptools) reads the bytes, these files hold the connections."""
