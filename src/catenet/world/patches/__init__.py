"""Changes of the interpreter while worlds exist, one file per concern.

`table/` says of every public name of the modules concerned what happens to it; `install.py` puts the patches in
place.
"""
