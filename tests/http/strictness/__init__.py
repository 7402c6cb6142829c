"""What servers and clients of HTTP take for a message: cases of our own, and what each peer makes of them.

`python -m tests.http.strictness --write` runs every case against ours and every peer that is there, keeps the outcome
in `expected.json` and makes `docs/http-strictness.md` of it. The tests hold ours to it, and a sample of the others.
"""
