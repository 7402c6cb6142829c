"""What a server of files does."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FileOptions"]


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What is allowed and what is said. Sizes in bytes.

    * `index`: names of files that stand for their folder.
    * `listing`: folders without such a file show what is in them.
    * `archives`: folders can be had as `?zip` and `?tar`.
    * `hidden`: names that begin with a dot are served.
    * `fallback`: the file that answers where a page asks for what is not there (applications of one page).
    * `precompressed`: `NAME.zst`, `NAME.br` or `NAME.gz`, if not older, is sent for NAME to who takes it.
    * `upload`: files may be put here; `overwrite`: also where there is one.
    * `max_upload`: of one file.
    * `users`, `upload_users`: `name` to password, for everything and for uploads; empty: nobody is asked.
    * `cors`: origin whose pages may read what is served, `*` for all; empty: none.
    * `cache_control`: of files.
    """

    index: tuple[str, ...] = ("index.html",)
    listing: bool = True
    archives: bool = True
    hidden: bool = False
    fallback: str = ""
    precompressed: bool = True
    upload: bool = False
    overwrite: bool = False
    max_upload: int = 16 << 30
    users: tuple[tuple[str, str], ...] = ()
    upload_users: tuple[tuple[str, str], ...] = ()
    cors: str = ""
    cache_control: str = ""
