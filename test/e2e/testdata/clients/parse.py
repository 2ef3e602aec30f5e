"""Print user and password, each with a NUL at its end, of the URL in each file.

Usage: parse.py urllib|libpq FILE...
"""
import sys
from urllib.parse import unquote, urlsplit

for path in sys.argv[2:]:
    text = open(path, newline="").read().removesuffix("\n")
    if sys.argv[1] == "libpq":
        import psycopg2.extensions

        d = psycopg2.extensions.parse_dsn(text)
        found = [d["user"], d["password"]]
    else:
        u = urlsplit(text)
        found = [unquote(u.username), unquote(u.password)]
    sys.stdout.buffer.write("".join(v + "\0" for v in found).encode())
