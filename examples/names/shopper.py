"""Fetch a page from each host, three times, ten seconds apart: shopper.py HOST..."""

import sys
import time
import urllib.error
import urllib.request


def main() -> None:
    for _ in range(3):
        for host in sys.argv[1:]:
            begun = time.monotonic()
            try:
                with urllib.request.urlopen(f"http://{host}/", timeout=30) as page:
                    said = page.read().decode().strip()
            except urllib.error.URLError as error:
                said = f"{host}: {getattr(error.reason, 'strerror', error.reason)}"
            print(f"{said} ({time.monotonic() - begun:.2f} s)", flush=True)
        time.sleep(10)


if __name__ == "__main__":
    main()
