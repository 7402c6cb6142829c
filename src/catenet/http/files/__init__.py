"""Files over HTTP: a folder as a handler of exchanges, out of which no path leads."""

from catenet.http.files.handler import Files
from catenet.http.files.options import FileOptions

__all__ = ["FileOptions", "Files"]
